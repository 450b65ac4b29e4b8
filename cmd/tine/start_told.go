package main

import (
	"context"
	"os"
	"strconv"

	"github.com/tinehq/tine/supervisor"
	"golang.org/x/sys/unix"
)

// envStart tells a master that tine start made it: the number of a descriptor, the
// write end of a pipe, that it writes readyWord to when all its workers are ready.
const (
	envStart  = "TINE_START_FD"
	readyWord = "ready\n"
)

// runAndTell runs c as supervisor.Run does, and tells a tine start that waits for it.
func runAndTell(ctx context.Context, c *supervisor.Config, opts ...supervisor.Option) error {
	up := lookAbove()
	defer up.close()
	s, err := supervisor.New(c, append(append([]supervisor.Option{supervisor.WithSignals()}, up.options()...), opts...)...)
	if err != nil {
		return err
	}
	if up.start == nil {
		return s.Run(ctx)
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-s.Ready():
			up.tell()
			up.start.Close() // whoever reads it may wait for its end
		case <-ended:
		}
	}()
	err = s.Run(ctx)
	close(ended)
	<-told
	return err
}

// startPipe is the pipe of envStart, kept from the workers; nil: there is none.
func startPipe() *os.File {
	fd, err := strconv.Atoi(os.Getenv(envStart))
	os.Unsetenv(envStart)
	if err != nil || fd < 3 {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "start")
}

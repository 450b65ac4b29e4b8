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
	s, err := supervisor.New(c, append([]supervisor.Option{supervisor.WithSignals()}, opts...)...)
	if err != nil {
		return err
	}
	pipe := startPipe()
	if pipe == nil {
		return s.Run(ctx)
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		defer pipe.Close()
		select {
		case <-s.Ready():
			_, _ = pipe.WriteString(readyWord) // who started it may have gone
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

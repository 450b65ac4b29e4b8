package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/keeper"
	"golang.org/x/sys/unix"
)

const (
	// envStart tells a master that tine start made it: the number of a descriptor, the write end of a pipe. The master
	// writes readyWord to it when all its workers are ready.
	envStart  = "TINE_START_FD"
	readyWord = "ready\n"

	// startName is the name of that pipe in the store of a keeper. It stays there until a master has written readyWord:
	// the first master may crash before.
	startName = "tine-start"
)

// above is what the process that started this master gave it: a keeper, systemd, tine start, or another master in an
// upgrade.
type above struct {
	client *keeper.Client
	files  map[string][]*os.File
	start  *os.File   // the pipe of tine start; nil: none waits
	held   *heldClaim // the claim; set by runMaster
}

// lookAbove takes what this process was started with. Call it once. What cannot be used is reported on standard error, and
// the master runs without it.
func lookAbove() *above {
	a := new(above)
	var errs [2]error
	a.client, errs[0] = keeper.Dial()
	a.files, errs[1] = keeper.Inherited()
	if err := errors.Join(errs[:]...); err != nil {
		goOnWithout(err)
	}
	a.client.Held(a.files)
	a.start = startPipe()
	a.takeStart()
	return a
}

// goOnWithout reports an error that takes something from this master, but does not end it.
func goOnWithout(err error) { fmt.Fprintf(os.Stderr, "tine: %v; going on without\n", err) }

// startPipe returns the pipe that envStart names; nil: there is none. Workers do not inherit it.
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

// takeStart takes the pipe of tine start out of the files that a keeper or another master handed on.
func (a *above) takeStart() {
	for _, f := range a.files[startName] {
		if a.start != nil {
			a.start.Close()
		}
		a.start = f
	}
	delete(a.files, startName)
}

// duplicateStart returns a duplicate of the pipe of tine start for the next master; none if no tine start waits.
func (a *above) duplicateStart() (files []*os.File, err error) {
	if a.start == nil {
		return nil, nil
	}
	f, err := ipc.Duplicate(a.start)
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot hand on the pipe of tine start: %w", err)
	}
	return []*os.File{f}, nil
}

// tell writes to a tine start that waits that the workers are ready.
func (a *above) tell() {
	if a.start == nil {
		return
	}
	_, _ = a.start.WriteString(readyWord) // fails if tine start has ended
	_ = a.client.Remove(startName)
	a.start.Close() // tine start reads until the end of the pipe
}

func (a *above) close() {
	if a.start != nil {
		a.start.Close()
	}
	a.client.Close()
}

// inheritClaim takes the claim out of the files that a keeper or another master handed on; nil: they had none.
func (a *above) inheritClaim() (got *claim.Claim) {
	for _, f := range a.files[keeper.ClaimName] {
		c, err := claim.Adopt(f)
		switch {
		case err != nil:
			goOnWithout(err)
		case got != nil:
			c.Close()
		default:
			got = c
		}
	}
	delete(a.files, keeper.ClaimName)
	return got
}

// handOnStartPipe makes the pipe of envStart one of the descriptors that a keeper passes to its masters.
func handOnStartPipe() error {
	const first = 3 // sd_listen_fds(3)
	text, ok := os.LookupEnv(envStart)
	if !ok {
		return nil
	}
	os.Unsetenv(envStart)
	if text != strconv.Itoa(first) {
		return fmt.Errorf("cannot use %s=%s: %d is expected", envStart, text, first)
	}
	if _, err := unix.FcntlInt(first, unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("cannot use %s=%s: %w", envStart, text, err)
	}
	os.Setenv("LISTEN_FDS", "1")
	os.Setenv("LISTEN_FDNAMES", startName)
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	return nil
}

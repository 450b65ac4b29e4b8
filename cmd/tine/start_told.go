package main

import (
	"context"
	"errors"
	"os"
	"slices"
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

// runAndTell runs a config as supervisor.Run does, and tells a tine start that waits for it. A process that follows another
// master, which was killed or hands over, goes on with what that one ran with; load is for one that follows none, or one that
// has left nothing which can be read.
func runAndTell(ctx context.Context, up above, load func() (*supervisor.Config, error),
	identify func(*supervisor.Config) identity, options func(*supervisor.Config) []supervisor.Option) (err error) {
	defer up.close()
	next := openSuccession(&up)
	if next != nil {
		defer next.Close()
		defer func() {
			if err != nil {
				next.Refuse(err.Error())
			}
		}()
	}
	if err := next.receive(ctx); err != nil {
		return err
	}
	c, err := supervisor.LeftConfig(up.files)
	if err != nil {
		if c, err = load(); err != nil {
			return err
		}
	}
	h := &heldClaim{above: &up, claim: up.inheritClaim()}
	id := identify(c)
	id.keepName(c, h.claim)
	h.id, h.place, up.held = id, controlOf(c), h
	if h.claim == nil && up.isFirst(next) {
		if h.claim, err = takeClaim(ctx, id, c); err != nil {
			return err
		}
		h.store()
	}
	followed := false
	defer func() { h.end(followed) }()
	s, err := supervisor.New(c, slices.Concat([]supervisor.Option{supervisor.WithSignals(), nextKeeper(c, h), supervisor.OnReachable(h.reachable)},
		up.options(), next.options(), options(c))...)
	if err != nil {
		return err
	}
	h.ready, h.stops = s.Ready(), s.Stopping()
	if next == nil || !next.HasParent() {
		h.begin()
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-s.Ready():
			up.tell()
		case <-ended:
		}
	}()
	if next != nil && !next.HasParent() {
		if err := next.Ready(); err != nil {
			return err
		}
	}
	err = s.Run(ctx)
	close(ended)
	<-told
	if followed = errors.Is(err, supervisor.ErrUpgraded); followed {
		return nil // who has asked for it knows
	}
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

package estate

import (
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/serve"
)

// NextKeeper is for the case that the keeper ends before its master, which nothing would start again then.
type NextKeeper struct {
	// Become puts a keeper in the place of this process, as [keeper.Succeed] does, and returns only an error. files are all that the
	// next master needs, which adopts the workers. It is called in a goroutine of its own, while the loop stands still. nil: the
	// master goes on without a keeper.
	Become func(files map[string][]*os.File) error
	// Gone is called in the loop when it is known that this master goes on without a keeper, so that the process says so to those that it
	// starts. nil: nothing is.
	Gone func()
}

// lastLines bounds the wait for the log before another program is in the place of this one.
const lastLines = 500 * time.Millisecond

// Between two tries to become the keeper: what it lacked, as memory, may be there later.
const (
	nextKeeperDelay    = time.Second // doubles
	nextKeeperMaxDelay = 30 * time.Second
)

// Keeper is the PID of the keeper above this master; 0: there is none, or it has ended.
func (e *Estate) Keeper() int { return e.keeper }

// WatchKeeper waits for the end of the keeper, if there is one, as long as the loop runs.
func (e *Estate) WatchKeeper() {
	pid, ctx := e.keeper, e.loop.Context()
	if pid == 0 {
		return
	}
	e.loop.Go(func() {
		switch err := keeper.AwaitEnd(ctx); {
		case err == nil:
			e.succeedKeeper(pid)
		case ctx.Err() == nil:
			e.logs.Warn().Err(err).Msg("this master will not notice if the keeper ends")
		}
	})
}

// succeedKeeper puts a keeper in the place of this process, and returns only if that is not to be. It runs beside the loop.
func (e *Estate) succeedKeeper(pid int) {
	if e.next.Become == nil || e.store == nil {
		e.loop.Post(keeperless{pid, nil})
		return
	}
	e.logs.Warn().Int("keeper", pid).Msg("the keeper has ended: this process becomes the keeper, and the next master adopts the workers")
	delay := nextKeeperDelay
	for first := true; ; first = false {
		err := e.becomeKeeper()
		if first {
			e.loop.Post(keeperless{pid, err})
		}
		if errors.Is(err, ErrStopping) || errors.Is(err, serve.ErrEnded) {
			return
		}
		again := time.NewTimer(delay)
		select {
		case <-again.C:
		case <-e.loop.Done():
			again.Stop()
			return
		}
		delay = min(2*delay, nextKeeperMaxDelay)
	}
}

// becomeKeeper returns only an error: then this process is what it was.
func (e *Estate) becomeKeeper() error {
	answer, result := make(chan Letting, 1), make(chan error, 1)
	if !e.loop.Post(LetGo{answer, result}) {
		return serve.ErrEnded
	}
	select {
	case a := <-answer:
		if a.Err != nil {
			return a.Err
		}
		e.logs.Settle(lastLines)
		err := e.server.Handover.Pause(a.Files)
		if err == nil {
			err = e.next.Become(a.Files)
		}
		e.server.Handover.Resume()
		result <- err
		return err
	case <-e.loop.Done():
		return serve.ErrEnded
	}
}

// keeperless: there is no keeper any more. err: why this process has not become one; nil: it was not to.
type keeperless struct {
	pid int
	err error
}

func (k keeperless) Act(e *Estate) {
	e.keeper = 0
	if e.next.Gone != nil {
		e.next.Gone()
	}
	e.loop.Stale()
	if e.loop.Core().Stopping() {
		return
	}
	const message = "the keeper has ended: should this master end too, nobody starts another"
	e.loop.Event(nil, zerolog.ErrorLevel, api.Event{Kind: api.EventKeeperEnded, Message: message})
	e.logs.Error().Int("keeper", k.pid).AnErr("why", k.err).Msg(message)
}

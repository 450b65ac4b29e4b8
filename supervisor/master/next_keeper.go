package master

import (
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/keeper"
)

// WithNextKeeper is for the case that the keeper ends before its master, which nobody
// would bring back then. become puts a keeper in the place of this process, as
// [keeper.Succeed] does, and returns only an error; files are all that the next master
// needs, which adopts the workers. When it fails, this master goes on with nobody above, says
// so, and tries again; without it that stays so. WithStore is needed too.
func WithNextKeeper(become func(files map[string][]*os.File) error) Option {
	return func(o *options) { o.nextKeeper = become }
}

// lastLines bounds the wait for the log before another program is in the place of this one.
const lastLines = 500 * time.Millisecond

// watchKeeper waits for the end of the keeper, if there is one, as long as the loop runs.
func (l *loop) watchKeeper() {
	pid := keeper.PID()
	if pid == 0 {
		return
	}
	l.s.wg.Go(func() {
		switch err := keeper.AwaitEnd(l.ctx); {
		case err == nil:
			l.s.keeperEnded(pid)
		case l.ctx.Err() == nil:
			l.s.logs.Warn().Err(err).Msg("this master will not notice if the keeper ends")
		}
	})
}

// Between two tries to become the keeper: what it lacked, as memory, may be there later.
const (
	nextKeeperDelay    = time.Second // doubles
	nextKeeperMaxDelay = 30 * time.Second
)

// keeperEnded puts a keeper in the place of this process, and returns only if that is not to be.
func (s *Supervisor) keeperEnded(pid int) {
	if s.nextKeeper == nil || s.store == nil {
		s.post(keeperless{pid, nil})
		return
	}
	s.logs.Warn().Int("keeper", pid).Msg("the keeper has ended: this process becomes the keeper, and the next master adopts the workers")
	delay := nextKeeperDelay
	for first := true; ; first = false {
		err := s.becomeKeeper()
		if first {
			s.post(keeperless{pid, err})
		}
		if errors.Is(err, errStopping) || errors.Is(err, ErrEnded) {
			return
		}
		again := time.NewTimer(delay)
		select {
		case <-again.C:
		case <-s.done:
			again.Stop()
			return
		}
		delay = min(2*delay, nextKeeperMaxDelay)
	}
}

// becomeKeeper returns only an error: then this process is what it was.
func (s *Supervisor) becomeKeeper() error {
	answer, result := newAnswer[letting](), make(chan error, 1)
	if !s.post(letGo{answer: answer, result: result}) {
		return ErrEnded
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return a.err
		}
		s.logs.Settle(lastLines)
		err := s.server.Handover.Pause(a.files)
		if err == nil {
			err = s.nextKeeper(a.files)
		}
		s.server.Handover.Resume()
		result <- err
		return err
	case <-s.done:
		return ErrEnded
	}
}

// keeperless is that nobody is above any more, and why nobody will be.
type keeperless struct {
	pid int
	err error
}

func (k keeperless) apply(l *loop) {
	// Nothing that is sent there arrives; the status, and what is started from here, must not name it either.
	os.Unsetenv(keeper.EnvKeeper)
	l.markStale()
	if l.state.Stopping() {
		return
	}
	const message = "the keeper has ended: should this master end too, nobody starts another"
	l.event(nil, zerolog.ErrorLevel, control.Event{Kind: control.EventKeeperEnded, Message: message})
	l.logs.Error().Int("keeper", k.pid).AnErr("why", k.err).Msg(message)
}

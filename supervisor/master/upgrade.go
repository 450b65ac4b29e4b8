package master

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/estate"
)

// Upgrader starts another program in the place of this one: see package handover, whose
// Upgrader is one.
type Upgrader interface {
	// Upgrade returns nil when binary is in charge. give is called once it is prepared.
	Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) error
}

// WithUpgrader makes Upgrade possible. WithStore is needed too.
func WithUpgrader(u Upgrader) Option { return func(o *options) { o.upgrader = u } }

// ErrUpgraded is what Run returns when another master is in charge: this process is to
// end, and to leave everything as it is.
var ErrUpgraded = errors.New("another master is in charge")

// Upgrade replaces this master by binary, an absolute path, with its workers as they are. It
// returns nil when the new master is in charge; Run returns ErrUpgraded then. After an
// error everything is as it was. While the new master takes over, for some ms, and for at
// most 10 s if it hangs, no worker that ends is replaced.
func (s *Supervisor) Upgrade(ctx context.Context, binary string) error {
	if s.upgrader == nil || s.store == nil {
		return errors.New("cannot upgrade: this master was not started in a way that makes it possible")
	}
	began := time.Now()
	var result chan error // told how it ended, once the loop has let go
	err := s.upgrader.Upgrade(ctx, binary, func() (map[string][]*os.File, error) {
		answer, wait := newAnswer[estate.Letting](), make(chan error, 1)
		if err := s.order(ofEstate{estate.LetGo{Answer: answer, Result: wait}}); err != nil {
			return nil, err
		}
		select {
		case a := <-answer:
			result = wait
			return a.Files, a.Err
		case <-s.done:
			return nil, ErrEnded
		}
	})
	if result != nil {
		result <- err
	}
	s.post(upgradeEnded{binary, time.Since(began), err})
	return err
}

// upgradeEnded is for the log.
type upgradeEnded struct {
	binary string
	took   time.Duration
	err    error
}

func (u upgradeEnded) apply(l *loop) {
	if u.err == nil {
		return
	}
	l.event(nil, zerolog.ErrorLevel, api.Event{Kind: api.EventUpgradeFailed, Reason: u.err.Error(), Message: "upgrade failed, everything runs on as it was"})
	l.logs.Error().Err(u.err).Float64("took_ms", api.Milliseconds(u.took)).Msg("upgrade failed, everything runs on as it was")
}

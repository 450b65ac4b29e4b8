package supervisor

import (
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// preflightTimeout bounds all that is tried before an upgrade.
const preflightTimeout = 30 * time.Second

// WithPreflight says what an order to upgrade takes where it names no binary, and what is
// tried with each before anything else: whether it is a program that could go on from
// here. It returns that one's version; its error is the order's, and nothing has happened
// then.
func WithPreflight(binary string, try func(ctx context.Context, binary string) (version string, err error)) Option {
	return func(o *options) { o.binary, o.preflight = binary, try }
}

// upgradeFor carries out an order to upgrade. The end of ctx ends the wait only.
func (s *Supervisor) upgradeFor(ctx context.Context, o control.Order, progress func(control.Progress)) error {
	if o.App != "" {
		return control.Refuse(http.StatusUnprocessableEntity, "upgrade is of tine itself, not of app %s: see reload", o.App)
	}
	if s.upgrader == nil || s.store == nil {
		return control.Refuse(http.StatusNotImplemented, "cannot upgrade: this master was not started in a way that makes it possible")
	}
	binary := o.Binary
	if binary == "" {
		binary = s.binary
	}
	if !filepath.IsAbs(binary) {
		return api.WrongField("binary", "cannot upgrade to %q: an absolute path is needed", binary)
	}
	if !s.upgrading.TryLock() {
		s.logs.Warn().Str("binary", binary).Str("reason", o.Reason).Msg("upgrade refused: another is under way already")
		return control.Refuse(http.StatusConflict, "an upgrade is under way already")
	}
	steps := make(chan control.Progress, progressKept)
	ended := make(chan error, 1)
	go func() {
		defer s.upgrading.Unlock()
		ended <- s.tryUpgrade(binary, o.Reason, steps)
	}()
	for {
		select {
		case p := <-steps:
			if progress != nil {
				progress(p)
			}
		case err := <-ended:
			for progress != nil && len(steps) > 0 {
				progress(<-steps)
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endUpgrades leaves nothing of a preflight behind. What it has begun then is the Upgrader's to end.
func (s *Supervisor) endUpgrades() {
	s.callOff(ErrEnded)
	s.trying.Lock() // bounded: it has been told
	defer s.trying.Unlock()
}

func (s *Supervisor) tryFirst(binary string) (version string, err error) {
	s.trying.Lock()
	defer s.trying.Unlock()
	ctx, cancel := context.WithTimeout(s.upgrades, preflightTimeout)
	defer cancel()
	return s.preflight(ctx, binary)
}

// tryUpgrade goes on whether somebody waits for it or not, until this master stops.
func (s *Supervisor) tryUpgrade(binary, reason string, steps chan<- control.Progress) error {
	tell := func(p control.Progress) {
		p.Time = time.Now().Round(time.Millisecond)
		steps <- p // there are fewer than have room
	}
	began := time.Now()
	version := ""
	if s.preflight != nil {
		var err error
		if version, err = s.tryFirst(binary); err != nil {
			s.logs.Error().Str("binary", binary).Err(err).Msg("upgrade refused")
			return control.Refuse(http.StatusUnprocessableEntity, "%v", err)
		}
	}
	s.logs.Info().Str("binary", binary).Str("version", version).Str("reason", reason).Float64("took_ms", ms(time.Since(began))).Msg("upgrading")
	tell(control.Progress{State: "starting", Message: "starting " + binary + ", version " + version})
	if err := s.Upgrade(s.upgrades, binary); err != nil {
		return err
	}
	tell(control.Progress{State: "done", Message: "another master is in charge", Final: true, OK: true})
	return nil
}

package serve

import (
	"cmp"
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// preflightTimeout bounds all that is tried before an upgrade.
const preflightTimeout = 30 * time.Second

// upgrade carries out an order to upgrade. The end of ctx ends the wait only.
func (s *Server) upgrade(ctx context.Context, o api.Order, progress func(api.Progress)) error {
	if o.App != "" {
		return api.Refuse(http.StatusUnprocessableEntity, "upgrade is of tine itself, not of app %s: see reload", o.App)
	}
	if !s.Upgradable {
		return api.Refuse(http.StatusNotImplemented, "cannot upgrade: this master was not started in a way that makes it possible")
	}
	binary := cmp.Or(o.Binary, s.Binary)
	if !filepath.IsAbs(binary) {
		return api.WrongField("binary", "cannot upgrade to %q: an absolute path is needed", binary)
	}
	if !s.upgrading.TryLock() {
		s.log.Warn().Str("binary", binary).Str("reason", o.Reason).Msg("upgrade refused: another is under way already")
		return api.Refuse(http.StatusConflict, "an upgrade is under way already")
	}
	steps := make(chan api.Progress, 2) // all that it tells
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

// CallOff ends what an order to upgrade has begun, and refuses the next.
func (s *Server) CallOff(why error) { s.callOff(why) }

// CalledOff is closed by CallOff.
func (s *Server) CalledOff() <-chan struct{} { return s.upgrades.Done() }

// EndUpgrades leaves nothing of a preflight behind. An upgrade that it has begun is the master's to end.
func (s *Server) EndUpgrades() {
	s.callOff(ErrEnded)
	s.trying.Lock() // the preflight ends soon: its context has ended
	defer s.trying.Unlock()
}

func (s *Server) tryFirst(binary string) (version string, err error) {
	s.trying.Lock()
	defer s.trying.Unlock()
	ctx, cancel := context.WithTimeout(s.upgrades, preflightTimeout)
	defer cancel()
	return s.Preflight(ctx, binary)
}

// tryUpgrade tries the binary and then upgrades to it. It goes on when its caller has given up, until CallOff.
func (s *Server) tryUpgrade(binary, reason string, steps chan<- api.Progress) error {
	tell := func(p api.Progress) {
		p.Time = time.Now().Round(time.Millisecond)
		steps <- p
	}
	began := time.Now()
	version := ""
	if s.Preflight != nil {
		var err error
		if version, err = s.tryFirst(binary); err != nil {
			s.log.Error().Str("binary", binary).Err(err).Msg("upgrade refused")
			return api.Refuse(http.StatusUnprocessableEntity, "%v", err)
		}
	}
	s.log.Info().Str("binary", binary).Str("version", version).Str("reason", reason).Float64("took_ms", api.Milliseconds(time.Since(began))).Msg("upgrading")
	tell(api.Progress{State: "starting", Message: "starting " + binary + ", version " + version})
	if err := s.master.Upgrade(s.upgrades, binary); err != nil {
		return err
	}
	tell(api.Progress{State: "done", Message: "another master is in charge", Final: true, OK: true})
	return nil
}

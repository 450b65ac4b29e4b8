package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

type getConfig struct{ answer chan<- *config.Config }

// The config that runs is never changed, so that it can be shared.
func (g getConfig) apply(l *loop) { g.answer <- l.config }

// running is the config that runs, with its defaults.
func (s *Supervisor) running(ctx context.Context) (*config.Config, error) {
	return ask(ctx, s, func(answer chan<- *config.Config) message { return getConfig{answer} })
}

// applyOutcome makes applyConfig tell what came of it.
type applyAndTell struct {
	config *config.Config
	answer chan<- error
}

func (m applyAndTell) apply(l *loop) {
	if l.state.Stopping() {
		m.answer <- control.Refuse(http.StatusConflict, "tine is stopping")
		return
	}
	l.applying = append(l.applying, waitingApply(m))
	l.applyConfig(m.config)
}

// waitingApply is somebody who waits for a config to be applied.
type waitingApply struct {
	config *config.Config
	answer chan<- error
}

// applied tells those who wait for a config what came of it. One that was overtaken by
// a newer one while it waited was not applied.
func (l *loop) applied(config *config.Config, err error) {
	l.applying = slices.DeleteFunc(l.applying, func(w waitingApply) bool {
		switch {
		case w.config == config:
			w.answer <- err
		case w.config == l.nextConfig:
			return false
		default:
			w.answer <- errors.New("a newer configuration was applied instead")
		}
		return true
	})
}

// Apply reads the config again, as SIGHUP does, and says what that changes. With Dry
// nothing is changed. It returns when the change is made and the rollouts that it
// brings are over. An aborted one is an error, and Applied nevertheless.
func (c commander) Apply(ctx context.Context, r control.ApplyRequest) (control.ApplyResult, error) {
	result := control.ApplyResult{Changes: []control.Change{}}
	old, err := c.s.running(ctx)
	if err != nil {
		return result, err
	}
	next, err := c.s.loadAgainWithin(ctx)
	if err == nil {
		err = next.Validate()
	}
	if err != nil {
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		refusal := control.Refuse(http.StatusUnprocessableEntity, "%v", err)
		refusal.Title = "the configuration is not valid"
		return result, refusal
	}
	result.Changes = append(result.Changes, difference(old, next)...)
	if r.Dry {
		return result, nil
	}
	mark := c.s.book.Newest()
	failed, err := ask(ctx, c.s, func(answer chan<- error) message { return applyAndTell{next, answer} })
	if err == nil {
		err = failed
	}
	if result.Applied = err == nil; err != nil {
		return result, err
	}
	return result, c.awaitRollouts(ctx, mark)
}

// configReason is that of the rollouts that a config brings.
const configReason = "config"

// awaitRollouts waits for the end of the rollouts that came of the config that was
// applied after an event.
func (c commander) awaitRollouts(ctx context.Context, mark uint64) error {
	over := errors.New("all are over")
	pending := map[string]int{} // generation, by app; 0: not begun
	var failures []error
	applied := false
	err := c.s.book.Read(ctx, mark, true, func(e control.Event) error {
		generation, mine := pending[e.App]
		switch e.Kind {
		case control.EventConfigApplied:
			applied = true
		case pool.KindRolloutQueued.String():
			if e.Reason == configReason && !applied {
				pending[e.App] = 0
			}
		case pool.KindRolloutBegin.String():
			if e.Reason == configReason && (!applied || mine && generation == 0) {
				pending[e.App] = e.Generation
			}
		case pool.KindRolloutDone.String():
			if mine && e.Generation == generation {
				delete(pending, e.App)
			}
		case pool.KindRolloutAborted.String():
			if mine && e.Generation == generation {
				delete(pending, e.App)
				failures = append(failures, fmt.Errorf("the configuration is applied, but the reload of app %s was aborted, its old workers stay: %s", e.App, e.Reason))
			}
		case control.EventAppEnded, pool.KindRolloutDropped.String(), pool.KindRolloutCancelled.String():
			delete(pending, e.App)
		}
		if e.Missed > 0 || applied && len(pending) == 0 {
			return over
		}
		return nil
	})
	if err != nil && !errors.Is(err, over) {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// loadAgainWithin is loadAgain for one who does not wait longer than ctx: a disk that
// hangs is left to itself.
func (s *Supervisor) loadAgainWithin(ctx context.Context) (*config.Config, error) {
	type loaded struct {
		config *config.Config
		err    error
	}
	done := make(chan loaded, 1)
	go func() {
		c, err := s.loadAgain()
		done <- loaded{c, err}
	}()
	select {
	case l := <-done:
		return l.config, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// difference is what a new config changes, with the secrets masked as in masked.
func difference(old, next *config.Config) []control.Change {
	var all []control.Change
	for _, c := range file.Diff(old, next) {
		all = append(all, control.Change{Path: c.Path, Old: maskAt(c.Path, c.Old), New: maskAt(c.Path, c.New), Effect: c.Effect})
	}
	return all
}

// maskAt masks the value of one key of the config, as masked does.
func maskAt(path, value string) string {
	_, name, isEnv := strings.Cut(path, ".env.")
	switch masked := config.MaskURL(value); {
	case masked != value:
		return masked
	case value != "" && (isEnv && config.IsSecret(name, value) || strings.HasSuffix(path, ".dsn") && !strings.Contains(value, "/")):
		return config.Mask
	}
	return value
}

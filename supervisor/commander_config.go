package supervisor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/orders"
)

type getConfig struct{ answer chan<- *config.Config }

// The config that runs is never changed, so that it can be shared.
func (g getConfig) apply(l *loop) { g.answer <- l.config }

// running is the config that runs, with its defaults.
func (s *Supervisor) running(ctx context.Context) (*config.Config, error) {
	return ask(ctx, s, func(answer chan<- *config.Config) message { return getConfig{answer} })
}

// applyAndTell applies a config for a caller. The caller is answered as for an order: begun when the config is applied, with the
// rollouts that the config brings as parts.
type applyAndTell struct {
	config *config.Config
	answer chan<- begun
}

func (m applyAndTell) apply(l *loop) {
	if l.state.Stopping() {
		m.answer <- begun{err: control.Refuse(http.StatusConflict, "tine is stopping")}
		return
	}
	l.applying = append(l.applying, m)
	l.applyConfig(m.config)
}

// followRollouts has the rollouts that a config brings be orders of the caller that waits for it. The config is then carried out,
// and after that followed is to be called.
func (l *loop) followRollouts(config *config.Config) (followed func()) {
	i := slices.IndexFunc(l.applying, func(m applyAndTell) bool { return m.config == config })
	if i < 0 {
		return func() {}
	}
	l.desk.last++
	request := l.desk.last
	l.desk.requests[request] = &waiter{answer: l.applying[i].answer}
	l.applying = slices.Delete(l.applying, i, i+1)
	l.order(orders.Follow{Request: request, Reason: configReason})
	return func() { l.order(orders.Followed{Request: request}) }
}

// notApplied tells the callers whose config is not applied: it has failed with err, or a newer one has overtaken it while it waited.
func (l *loop) notApplied(config *config.Config, err error) {
	l.applying = slices.DeleteFunc(l.applying, func(m applyAndTell) bool {
		switch {
		case m.config == config:
			m.answer <- begun{err: err}
		case m.config == l.nextConfig:
			return false
		default:
			m.answer <- begun{err: errors.New("a newer configuration was applied instead")}
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
	b, err := ask(ctx, c.s, func(answer chan<- begun) message { return applyAndTell{next, answer} })
	if err == nil {
		err = b.err
	}
	if result.Applied = err == nil; err != nil {
		return result, err
	}
	failures, err := c.s.await(ctx, b, nil, nil)
	if errors.Is(err, control.ErrCut) {
		err = nil // it is applied, and this master has ended since
	}
	return result, errors.Join(append(failures, err)...)
}

// configReason is that of the rollouts that a config brings.
const configReason = "config"

// loadAgainWithin is loadAgain, and gives up at the end of ctx: it does not wait for a disk that hangs.
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

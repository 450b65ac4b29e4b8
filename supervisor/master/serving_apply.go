package master

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/desk"
)

// applyAndTell has a config applied for a caller, who is told like the one of an order: begun when it is applied, with the rollouts that
// it brings as parts.
type applyAndTell struct {
	config *config.Config
	answer chan<- desk.Begun
}

func (m applyAndTell) apply(l *loop) {
	if l.state.Stopping() {
		m.answer <- desk.Begun{Err: control.Refuse(http.StatusConflict, "tine is stopping")}
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
	answer := l.applying[i].answer
	l.applying = slices.Delete(l.applying, i, i+1)
	return l.desk.Follow(configReason, answer)
}

// notApplied tells the callers whose config is not applied: it has failed with err, or a newer one has overtaken it while it waited.
func (l *loop) notApplied(config *config.Config, err error) {
	l.applying = slices.DeleteFunc(l.applying, func(m applyAndTell) bool {
		switch {
		case m.config == config:
			m.answer <- desk.Begun{Err: err}
		case m.config == l.nextConfig:
			return false
		default:
			m.answer <- desk.Begun{Err: errors.New("a newer configuration was applied instead")}
		}
		return true
	})
}

// Apply applies a config for a caller that waits for the end of the rollouts that it brings.
func (m serving) Apply(ctx context.Context, next *config.Config) (applied bool, err error) {
	b, err := ask(ctx, m.s, func(answer chan<- desk.Begun) message { return applyAndTell{next, answer} })
	if err == nil {
		err = b.Err
	}
	if err != nil {
		return false, err
	}
	failures, err := b.Wait(ctx, m.s.done)
	if errors.Is(err, control.ErrCut) {
		err = nil // it is applied, and this master has ended since
	}
	return true, errors.Join(append(failures, err)...)
}

// configReason is that of the rollouts that a config brings.
const configReason = "config"

package plan

import (
	"errors"
	"net/http"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/desk"
)

// Reason is that of the rollouts that a config brings.
const Reason = "config"

// ApplyFor is Apply for a caller that waits for the rollouts that the config brings. Answer, with room for one, gets Begun when the
// config is carried out, with the rollouts as its orders.
type ApplyFor struct {
	Config *config.Config
	Answer chan<- desk.Begun
}

// Act begins to apply the config.
func (m ApplyFor) Act(p *Planner) {
	if p.loop.State().Stopping() {
		m.Answer <- desk.Begun{Err: api.Refuse(http.StatusConflict, "tine is stopping")}
		return
	}
	p.callers = append(p.callers, m)
	p.Apply(m.Config)
}

// follow has the rollouts that a config brings be orders of the caller that waits for it. The config is then carried out, and after that
// followed is to be called.
func (p *Planner) follow(c *config.Config) (followed func()) {
	i := slices.IndexFunc(p.callers, func(m ApplyFor) bool { return m.Config == c })
	if i < 0 {
		return func() {}
	}
	answer := p.callers[i].Answer
	p.callers = slices.Delete(p.callers, i, i+1)
	return p.o.Follow(Reason, answer)
}

// turnAway tells the callers whose config is not applied: it has failed with err, or a newer one has overtaken it while it waited.
func (p *Planner) turnAway(c *config.Config, err error) {
	p.callers = slices.DeleteFunc(p.callers, func(m ApplyFor) bool {
		switch {
		case m.Config == c:
			m.Answer <- desk.Begun{Err: err}
		case m.Config == p.next:
			return false
		default:
			m.Answer <- desk.Begun{Err: errors.New("a newer configuration was applied instead")}
		}
		return true
	})
}

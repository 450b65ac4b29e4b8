package fleet

import (
	"fmt"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// advice is what the agent of a member has said of it, all in all. The zero value is that of no agent.
type advice struct {
	weight      *float64
	maxInFlight *int
	mode        members.State // "" is Ready
	health      members.State // "" is Ready
	why         string
}

// advised takes in what an agent says. It counts at once: an agent knows, where a check guesses.
func (f *Fleet) advised(now time.Time, m *member, e Advised) {
	before, was := m.advice, m.advice.state()
	a := &m.advice
	if e.Weight != nil {
		a.weight = e.Weight
	}
	if e.MaxInFlight != nil {
		a.maxInFlight = e.MaxInFlight
	}
	if e.Mode != "" {
		a.mode = e.Mode
	}
	if e.Health != "" {
		a.health = e.Health
	}
	if e.Why != "" || a.state() != was {
		a.why = e.Why
	}
	if a.text() == before.text() {
		return
	}
	f.changed = true
	f.record(Record{Kind: KindAdvised, ID: m.ID, Reason: a.text()})
	if was == members.Down && a.state() != members.Down && m.health == healthy {
		f.comesBack(now, m)
	}
}

// state is what the member can do by the words of its agent: ready, draining or down.
func (a *advice) state() members.State {
	switch {
	case a.health == members.Down || a.mode == members.Down:
		return members.Down
	case a.mode == members.Draining:
		return members.Draining
	}
	return members.Ready
}

// allows reports whether new requests may go to the member.
func (a *advice) allows() bool {
	return a.state() == members.Ready && (a.weight == nil || *a.weight > 0)
}

// apply changes the weight and the bound of a member.
func (a *advice) apply(m *members.Member) {
	if a.weight != nil {
		m.Weight = min(m.Weight**a.weight, members.MaxWeight)
	}
	if a.maxInFlight != nil {
		m.MaxInFlight = *a.maxInFlight
	}
}

// reason is why the member is draining or down.
func (a *advice) reason() string {
	word := "its agent says that it is down"
	switch {
	case a.health == members.Down:
	case a.mode == members.Down:
		word = "its agent says maintenance"
	default:
		word = "its agent says drain"
	}
	if a.why != "" {
		word += ": " + a.why
	}
	return word
}

// text is all of it in words.
func (a *advice) text() string {
	words := []string{"its agent says ready"}
	if a.state() != members.Ready {
		words[0] = a.reason()
	}
	if a.weight != nil {
		words = append(words, fmt.Sprintf("%.4g %% of its weight", 100**a.weight))
	}
	if a.maxInFlight != nil {
		words = append(words, fmt.Sprintf("at most %d in flight", *a.maxInFlight))
	}
	return strings.Join(words, ", ")
}

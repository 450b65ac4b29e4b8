package members

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// State is what a member can do now. Only a ready member is picked.
type State string

// The states of a member.
const (
	Starting State = "starting" // it is there, and takes no request yet
	Ready    State = "ready"
	Draining State = "draining" // it finishes what it has
	Down     State = "down"     // it cannot be reached, or says that it is down
	Ejected  State = "ejected"  // it has failed too often, and is tried again later
	Paused   State = "paused"   // a person wants it to get no request for a while
)

// States are all of them, in the order in which they are shown.
var States = []State{Starting, Ready, Draining, Down, Ejected, Paused}

// Member is one server that can be picked: a slot of this host, or a server elsewhere.
type Member struct {
	ID   string `json:"id"`             // unique in its table
	Type string `json:"type,omitempty"` // members of one type can stand in for each other
	Env  string `json:"environment,omitempty"`
	Zone string `json:"zone,omitempty"`

	Address string `json:"address"` // host:port, or the path of a Unix socket: where the gateway reaches it
	// ClientAddress is host:port where clients reach it, if they may be sent there; empty: they may not.
	ClientAddress string `json:"client_address,omitempty"`
	Frontend      bool   `json:"frontend,omitempty"` // clients may be sent to it

	Weight      float64 `json:"weight"`                  // its share beside others, 0 or more; 0: it is not picked
	MaxInFlight int     `json:"max_in_flight,omitempty"` // requests that it may have at once; 0: there is no bound

	State State  `json:"state"`
	Why   string `json:"why,omitempty"` // of a state other than ready, in words
	// Drained is why a person has drained it; "": none has. The next master goes by it.
	Drained string `json:"drained,omitempty"`

	// Aside is why a member that is ready gets only requests that prefer it, such as those of its users; "": it gets any.
	Aside string `json:"aside,omitempty"`

	Report *Report `json:"report,omitempty"` // nil: it has not said anything of itself, or too long ago
}

// MaxWeight bounds a weight, so that sums of weights are exact enough.
const MaxWeight = 1e6

// Check says what is wrong with m, as one line that names the field and what was expected. Addresses are not looked up.
func (m *Member) Check() error {
	switch {
	case m.ID == "":
		return fmt.Errorf("a member has no id")
	case m.Address == "":
		return fmt.Errorf("member %q has no address", m.ID)
	case math.IsNaN(m.Weight) || m.Weight < 0 || m.Weight > MaxWeight:
		return fmt.Errorf("member %q has the weight %v: 0 to %v is expected", m.ID, m.Weight, float64(MaxWeight))
	case m.MaxInFlight < 0:
		return fmt.Errorf("member %q has max_in_flight %d: 0, which is no bound, or more is expected", m.ID, m.MaxInFlight)
	case !slices.Contains(States, m.State):
		return fmt.Errorf("member %q has the state %q: one of %s is expected", m.ID, m.State, joined(States))
	}
	return m.Report.check(m.ID)
}

func joined(all []State) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

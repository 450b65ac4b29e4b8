package route

import (
	"fmt"
	"sync/atomic"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
)

// All is the pool that has the members of every type.
const All = ""

// Pools has the pickers of a gateway's worker, by the type of their members. Of and Types may be called by all goroutines at once, Update
// and Refresh by one at a time.
type Pools struct {
	ways     map[string]gate.Options // of types that have their own
	rest     gate.Options            // of all others
	counters map[string]*gate.Counter
	pickers  atomic.Pointer[map[string]*gate.Picker]
}

// NewPools makes pools without members. base is how a member is picked where the policy does not say otherwise.
func NewPools(p policy.Policy, base gate.Options) (*Pools, error) {
	if way := p.Way(); way != "" {
		base.Way = way
	}
	s := &Pools{ways: map[string]gate.Options{}, rest: base, counters: map[string]*gate.Counter{}}
	if base.Counters == nil {
		s.rest.Counters = s.counter
	}
	for _, r := range p.Routes {
		own, known := s.ways[r.To]
		if !known {
			own = s.rest
		}
		if r.Pick != "" {
			own.Way = r.Pick
		}
		if !gate.ByKey(own.Way) {
			own.Bounded = 0
		}
		s.ways[r.To] = own
	}
	if len(p.Routes) == 0 {
		s.ways[All] = s.rest
	}
	if !gate.ByKey(s.rest.Way) {
		s.rest.Bounded = 0
	}
	pickers := map[string]*gate.Picker{}
	for kind, o := range s.ways {
		picker, err := gate.New(o)
		if err != nil {
			return nil, fmt.Errorf("cannot pick of the members of type %q: %w", kind, err)
		}
		pickers[kind] = picker
	}
	if _, err := gate.New(s.rest); err != nil {
		return nil, fmt.Errorf("cannot pick members: %w", err)
	}
	s.pickers.Store(&pickers)
	return s, nil
}

// counter is the one that all pickers share for a member.
func (s *Pools) counter(id string) *gate.Counter {
	c := s.counters[id]
	if c == nil {
		c = new(gate.Counter)
		s.counters[id] = c
	}
	return c
}

// Of is the picker of the members of a type; nil: no member and no route is of it.
func (s *Pools) Of(kind string) *gate.Picker { return (*s.pickers.Load())[kind] }

// Each calls f with the picker of each type.
func (s *Pools) Each(f func(kind string, p *gate.Picker)) {
	for kind, p := range *s.pickers.Load() {
		f(kind, p)
	}
}

// Update makes t what is picked from. now is in nanoseconds of ipc.Monotonic.
func (s *Pools) Update(t members.Table, now int64) {
	parts, listed := map[string][]members.Member{}, make(map[string]bool, len(t.Members))
	for _, m := range t.Members {
		listed[m.ID] = true
		if m.Type != All {
			parts[m.Type] = append(parts[m.Type], m)
		}
	}
	parts[All] = t.Members
	for id := range s.counters {
		if !listed[id] {
			delete(s.counters, id)
		}
	}
	pickers := make(map[string]*gate.Picker, len(parts))
	for kind, p := range *s.pickers.Load() {
		_, own := s.ways[kind]
		if _, there := parts[kind]; own || there {
			pickers[kind] = p
		}
	}
	for kind := range parts {
		if _, own := s.ways[kind]; pickers[kind] == nil && (kind != All || own) {
			p, err := gate.New(s.rest)
			if err != nil {
				panic("route: options that NewPools has not refused: " + err.Error())
			}
			pickers[kind] = p
		}
	}
	for kind, p := range pickers {
		p.Update(members.Table{Version: t.Version, Epoch: t.Epoch, Members: parts[kind]}, now)
	}
	s.pickers.Store(&pickers)
}

// Refresh takes in how time goes on, as gate.Picker.Refresh does.
func (s *Pools) Refresh(now int64) {
	for _, p := range *s.pickers.Load() {
		p.Refresh(now)
	}
}

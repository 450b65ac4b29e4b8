package route

import (
	"cmp"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/queue"
)

// All is the pool that has the members of every type.
const All = ""

// clients begins the name of the pool of those members of a type that clients may be sent to.
const clients = "clients\x00"

// Pools has the pickers of a gateway's worker, and the queues before them, by the type of their members. Of, OfClients, Queue
// and Each may be called by all goroutines at once, Update, Refresh and Close by one at a time.
type Pools struct {
	ways     map[string]gate.Options // of pools that routes lead to
	rest     gate.Options            // of all others
	sends    bool                    // clients are sent to members, and
	anywhere bool                    // they need no address for it
	counters map[string]*gate.Counter
	queue    policy.Queue
	pools    atomic.Pointer[map[string]pool]
	queues   atomic.Pointer[[]*queue.Queue] // of pools
}

// pool is the members of one type.
type pool struct {
	*gate.Picker
	queue *queue.Queue // nil: no request waits
}

// NewPools makes pools without members. base is how a member is picked where the policy does not say otherwise.
func NewPools(p policy.Policy, base gate.Options) (*Pools, error) {
	if way := p.Way(); way != "" {
		base.Way = way
	}
	s := &Pools{ways: map[string]gate.Options{}, rest: base, anywhere: p.Base != "", counters: map[string]*gate.Counter{}, queue: p.Queue}
	if base.Released == nil {
		s.rest.Released = s.Released
	}
	if base.Counters == nil {
		s.rest.Counters = s.counter
	}
	routes := p.Routes
	if len(routes) == 0 {
		routes = []policy.Route{{}}
	}
	for _, r := range routes {
		name := poolOf(r, p)
		s.sends = s.sends || name != r.To
		own := s.of(name)
		if r.Pick != "" {
			own.Way = r.Pick
		}
		s.ways[name] = own
	}
	pools := map[string]pool{}
	for name := range s.ways {
		one, err := s.pool(name)
		if err != nil {
			return nil, fmt.Errorf("cannot pick of the members of type %q: %w", strings.TrimPrefix(name, clients), err)
		}
		pools[name] = one
	}
	if _, err := newPicker(s.rest); err != nil {
		return nil, fmt.Errorf("cannot pick members: %w", err)
	}
	s.use(pools)
	return s, nil
}

// poolOf is the name of the pool that a route leads to.
func poolOf(r policy.Route, p policy.Policy) string {
	if way := cmp.Or(r.Deliver, p.Deliver, policy.DeliverProxy); way != policy.DeliverProxy {
		return clients + r.To
	}
	return r.To
}

// of is how the members of a pool are picked.
func (s *Pools) of(name string) gate.Options {
	o, own := s.ways[name]
	if !own {
		o = s.rest
	}
	if strings.HasPrefix(name, clients) {
		o.Stays = members.Connections
	}
	return o
}

// newPicker makes a picker. A bound is for the ways by key alone.
func newPicker(o gate.Options) (*gate.Picker, error) {
	if !gate.ByKey(o.Way) {
		o.Bounded = 0
	}
	return gate.New(o)
}

// pool makes one without members. A client that is to be sent to a member does not wait for a place.
func (s *Pools) pool(name string) (one pool, err error) {
	if one.Picker, err = newPicker(s.of(name)); err == nil && s.queue.Max != policy.NoQueue && !strings.HasPrefix(name, clients) {
		one.queue, err = queue.New(s.queue, s.rest.Elsewhere)
	}
	return one, err
}

func (s *Pools) use(pools map[string]pool) {
	queues := make([]*queue.Queue, 0, len(pools))
	for _, p := range pools {
		if p.queue != nil {
			queues = append(queues, p.queue)
		}
	}
	s.queues.Store(&queues)
	s.pools.Store(&pools)
}

// Released tells all queues of a place that is free, as a member may be in several pools: see gate.Options. It is what the pickers tell, unless
// base has told them otherwise.
func (s *Pools) Released(since int64) {
	for _, q := range *s.queues.Load() {
		q.Freed(since)
	}
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
func (s *Pools) Of(kind string) *gate.Picker { return (*s.pools.Load())[kind].Picker }

// OfClients is the picker of those members of a type that clients may be sent to, by their client address or, where the policy has a
// base, by their ID; nil: there is none, and no route leads there.
func (s *Pools) OfClients(kind string) *gate.Picker { return (*s.pools.Load())[clients+kind].Picker }

// Queue is where requests to the members of a type wait; nil: they do not, or no member and no route is of it.
func (s *Pools) Queue(kind string) *queue.Queue { return (*s.pools.Load())[kind].queue }

// Each calls f with the picker of each type, and its queue, which may be nil. Of members that clients are sent to it has none.
func (s *Pools) Each(f func(kind string, p *gate.Picker, q *queue.Queue)) {
	for name, p := range *s.pools.Load() {
		f(strings.TrimPrefix(name, clients), p.Picker, p.queue)
	}
}

// Close ends what the queues run. Requests that wait are not told of free places any more.
func (s *Pools) Close() {
	for _, q := range *s.queues.Load() {
		q.Close()
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
		if s.sends && (s.anywhere || m.Frontend && m.ClientAddress != "") {
			parts[clients+All] = append(parts[clients+All], m)
			if m.Type != All {
				parts[clients+m.Type] = append(parts[clients+m.Type], m)
			}
		}
	}
	parts[All] = t.Members
	for id := range s.counters {
		if !listed[id] {
			delete(s.counters, id)
		}
	}
	before, pools := *s.pools.Load(), make(map[string]pool, len(parts))
	for kind := range s.ways {
		pools[kind] = before[kind]
	}
	for kind := range parts {
		if _, own := s.ways[kind]; own || kind == All || kind == clients+All {
			continue // of all members there is a pool only where a route leads to all
		}
		one, known := before[kind]
		if !known {
			var err error
			if one, err = s.pool(kind); err != nil {
				panic("route: options that NewPools has not refused: " + err.Error())
			}
		}
		pools[kind] = one
	}
	for kind, p := range pools {
		p.Update(members.Table{Version: t.Version, Epoch: t.Epoch, Members: parts[kind]}, now)
	}
	for kind, p := range before {
		if _, still := pools[kind]; !still {
			p.Update(members.Table{Version: t.Version}, now) // so that what waits there does not wait for it
			p.wake()
			if p.queue != nil {
				p.queue.Close()
			}
		}
	}
	s.use(pools)
	for _, p := range pools {
		p.wake()
	}
}

// Refresh takes in how time goes on, as gate.Picker.Refresh does.
func (s *Pools) Refresh(now int64) {
	for _, p := range *s.pools.Load() {
		p.Refresh(now)
		p.wake()
	}
}

// wake has requests that wait look at what the picker has now.
func (p pool) wake() {
	if p.queue != nil {
		p.queue.Wake()
	}
}

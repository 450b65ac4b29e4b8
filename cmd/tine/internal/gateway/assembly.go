package gateway

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
	"github.com/tinehq/tine/worker/gate/sticky"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// assembly is what one policy makes of requests.
type assembly struct {
	policy   policy.Policy
	requests atomic.Int64 // that go by it
	pools    *route.Pools
	proxy    *proxy.Proxy
	history  *history.History // nil: nothing is remembered
	router   *route.Router
	sticky   *sticky.Sticky // nil: no cookie tells a user's member
	shared   shared

	mu       sync.Mutex  // of changes of pools
	evaluate *evaluation // nil: members are picked by what the table says of them
}

// shared is what outlives an assembly: what is counted of members and requests goes on when a policy takes the place of another.
type shared struct {
	counters func(id string) *gate.Counter
	counts   *counts
	locals   *locals
	released func(since int64) // for gate.Options
	failures *failures
	delivery *delivery
	tunnels  *tunnel.Set
	log      *slog.Logger
}

// assemble makes the parts of a policy. before, whose place it takes, may be nil.
func assemble(p policy.Policy, s shared, before *assembly) (*assembly, error) {
	a := &assembly{policy: p, shared: s}
	var err error
	if before != nil && before.policy.History == p.History {
		a.history = before.history
	} else if a.history, err = history.New(p.History); err != nil {
		return nil, err
	}
	score, err := scoreOf(&p)
	if err != nil {
		return nil, err
	}
	if a.pools, err = route.NewPools(p, gate.Options{Bounded: p.Bounded, Signed: p.Signed, Score: score, Counters: s.counters, Released: s.released,
		Local: s.locals.slot, Owner: owner(), Elsewhere: s.locals.watch}); err != nil {
		return nil, err
	}
	o := proxy.Options{
		Priority: p.Queue.PriorityHeader, RetryStatus: p.Retry, DialTimeout: p.DialTimeout, AnswerTimeout: p.AnswerTimeout, History: a.history, Tunnels: s.tunnels, Log: s.over,
		HTTP2: p.Edge.HTTP2 == policy.HTTP2Members,
	}
	if err := s.delivery.assemble(a, &o); err != nil {
		return nil, err
	}
	if p.Evaluate != nil {
		if a.evaluate, err = evaluating(p.Evaluate, a.publish, s.log); err != nil {
			return nil, err
		}
		o.Evaluate = a.evaluate.await
	}
	if a.proxy, err = proxy.New(o); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// update has requests go to the members of a table: at once, or when they have been asked.
func (a *assembly) update(t members.Table) {
	if a.evaluate != nil {
		a.evaluate.Table(t)
		return
	}
	a.publish(t)
}

func (a *assembly) publish(t members.Table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := ipc.Monotonic()
	a.pools.Update(t, now)
	if a.sticky != nil {
		a.sticky.Update(t)
	}
	a.shared.delivery.take(t, now)
}

// refresh has the pickers look at the time.
func (a *assembly) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := ipc.Monotonic()
	a.pools.Refresh(now)
	a.shared.delivery.pending.Refresh(now)
}

// close gives up what is not needed by requests that are under way.
func (a *assembly) close() {
	if a.proxy != nil {
		a.proxy.Close()
	}
	if a.evaluate != nil {
		a.evaluate.close()
	}
}

// over is told of each request when it is over.
func (s *shared) over(a proxy.Access) {
	s.counts.over(a)
	s.failures.tell(a)
}

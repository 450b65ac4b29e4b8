package gateway

import (
	"log/slog"

	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// assembly is what one policy makes of requests.
type assembly struct {
	policy  policy.Policy
	pools   *route.Pools
	proxy   *proxy.Proxy
	history *history.History // nil: nothing is remembered
}

// shared is what outlives an assembly: what is counted of members and requests goes on when a policy takes the place of another.
type shared struct {
	counters func(id string) *gate.Counter
	failures *failures
	tunnels  *tunnel.Set
	log      *slog.Logger
}

// assemble makes the parts of a policy. before, whose place it takes, may be nil.
func assemble(p policy.Policy, s shared, before *assembly) (*assembly, error) {
	a := &assembly{policy: p}
	var err error
	if before != nil && before.policy.History == p.History {
		a.history = before.history
	} else if a.history, err = history.New(p.History); err != nil {
		return nil, err
	}
	if a.pools, err = route.NewPools(p, gate.Options{Bounded: p.Bounded, Signed: p.Signed, Counters: s.counters}); err != nil {
		return nil, err
	}
	router, err := route.New(p, route.Options{Pools: a.pools})
	if err != nil {
		return nil, err
	}
	a.proxy, err = proxy.New(proxy.Options{
		Route: router.Route, Trusted: p.Trusted(), RetryStatus: p.Retry, FailStatus: p.FailStatus,
		DialTimeout: p.DialTimeout, AnswerTimeout: p.AnswerTimeout, History: a.history, Tunnels: s.tunnels, Log: s.failures.tell,
	})
	return a, err
}

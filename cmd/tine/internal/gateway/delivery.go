package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/lookup"
	"github.com/tinehq/tine/worker/gate/outcomes"
	"github.com/tinehq/tine/worker/gate/pending"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/redirect"
	"github.com/tinehq/tine/worker/gate/route"
	"github.com/tinehq/tine/worker/gate/sticky"
)

// delivery is what of routing and delivering outlives a policy: clients on their way, what the master is to be told of members, and the
// secret by which the users' members are named.
type delivery struct {
	worker   *worker.Worker
	log      *slog.Logger
	pending  *pending.Ledger
	outcomes *outcomes.Outcomes // nil: there is no gateway in the config, and nobody to tell
	moves    limiter
	wanted   chan struct{} // a secret is
	own      []byte        // the secret of this worker, and of all if it is the one that shares

	mu      sync.Mutex     // of what follows
	secrets [][]byte       // the newest first
	sticky  *sticky.Sticky // that goes by them; nil: none does
}

func newDelivery(w *worker.Worker, fixed bool, log *slog.Logger) *delivery {
	d := &delivery{worker: w, log: log, own: sticky.NewSecret(), pending: pending.New(members.Connections), wanted: make(chan struct{}, 1)}
	if !fixed {
		d.outcomes = outcomes.New(func(all []members.Outcome) error {
			b, err := members.EncodeOutcomes(all)
			if err == nil {
				err = w.Send(members.OutcomesTopic, b)
			}
			return err
		})
	}
	return d
}

// assemble adds to an assembly what routes and delivers by its policy, and to the options of its proxy.
func (d *delivery) assemble(a *assembly, o *proxy.Options) error {
	p, trust := a.policy, proxy.Trust(a.policy.Trusted())
	routes := route.Options{Pools: a.pools, Client: trust.ClientIP, Deliver: map[string]route.Deliverer{}}
	if p.Sticky.ByCookie() {
		a.sticky = sticky.New(sticky.Options{Policy: *p.Sticky, Gateway: p.Name, Standing: a.standing, Secure: trust.Secure, Moved: d.moved})
		d.shareFor(a.sticky, p.Sticky.Secret == "")
		routes.Stick = a.sticky.Stick
	}
	to, err := redirect.New(redirect.Options{Base: p.Base, KeepPath: p.KeepPath, Pending: d.pending, Secure: trust.Secure})
	if err != nil {
		return err
	}
	routed := func(kind string) bool {
		return slices.ContainsFunc(p.Routes, func(r policy.Route) bool { return r.To == kind })
	}
	routes.Deliver[policy.DeliverRedirect] = to
	routes.Deliver[policy.DeliverLookup] = lookup.New(lookup.Options{Pools: a.pools, Routed: routed, Pending: d.pending})
	if a.router, err = route.New(p, routes); err != nil {
		return err
	}
	o.Route, o.Trusted, o.FailStatus = a.router.Route, trust, p.FailStatus
	if p.Replay > 0 {
		o.Replay, o.KeepBody = a.router.Replay, int(p.Replay)
	}
	if d.outcomes != nil {
		o.Outcome = d.outcomes.Tell
	}
	return nil
}

// shareFor has users' members be named by the secret that is shared, if share, from now on.
func (d *delivery) shareFor(s *sticky.Sticky, share bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sticky = nil; !share {
		return
	}
	d.sticky = s
	d.use()
	if len(d.secrets) == 0 {
		select {
		case d.wanted <- struct{}{}:
		default:
		}
	}
}

// standing says how a member of a pool stands.
func (a *assembly) standing(pool, id string) gate.Standing {
	if p := a.pools.Of(pool); p != nil {
		return p.Standing(id)
	}
	return gate.Standing{}
}

// take takes in a new table.
func (d *delivery) take(t members.Table, now int64) {
	d.pending.Update(t, now)
	if d.outcomes != nil {
		d.outcomes.Update(t)
	}
}

// moved logs that a user is at another member.
func (d *delivery) moved(_ *http.Request, from, to string) {
	ok, more := d.moves.take(time.Now())
	if more > 0 {
		d.log.Warn("more users are at other members", "users", more)
	}
	if ok {
		d.log.Warn("a user's member could not take a request: the user is at another one", "member", from, "now", to)
	}
}

// secretKey is the key of the cached value by which the workers of a gateway share the secret of its cookies.
func secretKey(app string) string { return "gate." + app + ".secret" }

const (
	// shareAfter is how long a worker waits for each slot before its own to share a secret: one is enough.
	shareAfter = 200 * time.Millisecond
	// shareTimeout bounds the sharing.
	shareTimeout = 5 * time.Second
	// mostSecrets bounds the secrets that are known: the newest, and those of before.
	mostSecrets = 4
)

// run tells the master how requests went, and shares the secret, until the worker's drain is over.
func (d *delivery) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if d.outcomes != nil {
		wg.Go(func() { d.outcomes.Run(ctx) })
	}
	key := secretKey(d.worker.App())
	defer d.worker.Watch(key, func(c worker.Change) {
		if b, err := c.Bytes(); err == nil && !c.Deleted && len(b) > 0 {
			d.learn(b)
		}
	})()
	for {
		select {
		case <-d.wanted:
		case <-d.worker.Done():
			return
		}
		select {
		case <-time.After(time.Duration(max(d.worker.Slot(), 0)) * shareAfter):
		case <-d.worker.Done():
			return
		}
		if d.knows() {
			continue
		}
		ctx, done := context.WithTimeout(ctx, shareTimeout)
		if _, err := d.worker.Publish(ctx, key, d.own); err != nil {
			d.log.Error("users of this worker alone stay at a member: write a secret", "error", err)
		}
		done()
	}
}

// learn takes in the secret that the workers share.
func (d *delivery) learn(secret []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.secrets, func(s []byte) bool { return bytes.Equal(s, secret) }) {
		return
	}
	d.secrets = append([][]byte{bytes.Clone(secret)}, d.secrets[:min(len(d.secrets), mostSecrets-1)]...)
	d.use()
}

func (d *delivery) knows() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.secrets) > 0
}

// use has the users' members be named by the secret that is shared, or by the worker's own one until there is one. The own one stays
// known, so that a user who came before the secret was shared keeps the member. It is called with mu held.
func (d *delivery) use() {
	if d.sticky != nil {
		all := append(slices.Clone(d.secrets), d.own)
		d.sticky.SetSecrets(all[0], all[1:]...)
	}
}

package route

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// Options say what a Router goes by beside its policy.
type Options struct {
	Pools *Pools

	// Func is a program's own route; it is asked first. false: the policy's routes count. nil: there is none.
	Func func(*http.Request) (Target, bool)

	// Stick returns the choice with the member of the request's user in it. nil: no user has a member.
	Stick func(*http.Request, proxy.Choice) proxy.Choice

	// Client is who a client is, for requests that are not passed on and have no key; nil: its connection tells.
	Client func(*http.Request) string

	// Deliver has what answers requests that are not passed on, by policy.DeliverRedirect and policy.DeliverLookup.
	Deliver map[string]Deliverer
}

// Target is where a program's own route has a request go.
type Target struct {
	Type string // of the members
	Key  string // what the request is picked by; "": the client's address
}

// Deliverer answers a request for which a choice was made. The choice has no picker where no member may be given to a client.
type Deliverer interface {
	Deliver(w http.ResponseWriter, r *http.Request, c proxy.Choice)
}

// Router makes the choices of a gateway's worker. It may be used by all goroutines at once.
type Router struct {
	options Options
	matcher *matcher
	routes  []route
	rest    route // of requests where there are no routes, or that go elsewhere by Func or a replay
}

// route is a policy.Route that was made ready.
type route struct {
	policy.Route
	key     func(*http.Request) string // nil: the client's address
	deliver Deliverer                  // nil: the request is passed on
}

// LookupPath is where lookups are answered that a route has no path for.
const LookupPath = "/v1/pick"

// New makes a Router of a policy that was checked.
func New(p policy.Policy, o Options) (*Router, error) {
	routes := slices.Clone(p.Routes)
	if len(routes) == 0 && p.Deliver == policy.DeliverLookup {
		routes = []policy.Route{{}}
	}
	for i := range routes {
		if one := &routes[i]; one.Path == "" && cmp.Or(one.Deliver, p.Deliver) == policy.DeliverLookup {
			one.Path = LookupPath
		}
	}
	if o.Client == nil {
		o.Client = proxy.ClientIP
	}
	r := &Router{options: o, matcher: newMatcher(routes)}
	var err error
	if r.rest, err = r.prepare(p, policy.Route{}); err != nil {
		return nil, err
	}
	for i, one := range routes {
		ready, err := r.prepare(p, one)
		if err != nil {
			return nil, fmt.Errorf("cannot route by routes[%d]: %w", i, err)
		}
		r.routes = append(r.routes, ready)
	}
	return r, nil
}

func (r *Router) prepare(p policy.Policy, one policy.Route) (route, error) {
	if one.Key == "" {
		one.Key = p.Key
		if p.Sticky != nil && !p.Sticky.ByCookie() {
			one.Key = p.Sticky.By
		}
	}
	if one.Deliver == "" {
		one.Deliver = p.Deliver
	}
	ready := route{Route: one}
	if one.Deliver != "" && one.Deliver != policy.DeliverProxy {
		if ready.deliver = r.options.Deliver[one.Deliver]; ready.deliver == nil {
			return route{}, fmt.Errorf("nothing delivers by %s here", one.Deliver)
		}
	}
	var err error
	ready.key, err = KeyOf(one.Key)
	return ready, err
}

// Route chooses for one request: see proxy.Options.
func (r *Router) Route(q *http.Request) proxy.Choice {
	if r.options.Func != nil {
		if to, ok := r.options.Func(q); ok {
			return r.choice(q, &r.rest, to.Type, to.Key)
		}
	}
	at := &r.rest
	if len(r.routes) > 0 {
		i := r.matcher.match(q)
		if i < 0 {
			return proxy.Choice{}
		}
		at = &r.routes[i]
	}
	key := ""
	if at.key != nil {
		key = at.key(q)
	}
	return r.choice(q, at, at.To, key)
}

func (r *Router) choice(q *http.Request, at *route, kind, key string) proxy.Choice {
	if at.deliver != nil {
		if key == "" && at.Deliver == policy.DeliverRedirect {
			key = r.options.Client(q)
		}
		return proxy.Choice{Handler: delivery{at.deliver, proxy.Choice{Picker: r.options.Pools.OfClients(kind), Pool: kind, Key: key}}}
	}
	c := proxy.Choice{Picker: r.options.Pools.Of(kind), Queue: r.options.Pools.Queue(kind), Pool: kind, Key: key}
	if at.Strip {
		c.Target = stripped(q, at.Path)
	}
	if r.options.Stick != nil && c.Picker != nil {
		return r.options.Stick(q, c)
	}
	return c
}

// delivery is a Deliverer with the choice of one request.
type delivery struct {
	to     Deliverer
	choice proxy.Choice
}

func (d delivery) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.to.Deliver(w, r, d.choice) }

// Replay chooses for a request that a member wants to be sent on: see proxy.Options. false: there are no members of the type.
func (r *Router) Replay(_ *http.Request, c proxy.Choice, to proxy.Replay) (proxy.Choice, bool) {
	if to.Type != "" {
		c.Picker, c.Queue, c.Pool = r.options.Pools.Of(to.Type), r.options.Pools.Queue(to.Type), to.Type
	}
	if to.Key != "" {
		c.Key = to.Key
	}
	c.Prefer, c.Marker = to.Member, nil // the user's member is the one that has asked
	return c, c.Picker != nil
}

package gateways

import (
	"context"
	"slices"
	"sync"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// Gateways are those of one master. Values, Pictured and LogTo are for its loop; Tell and Outcomes may be called from any goroutine.
type Gateways struct {
	see      func() *snapshot.Master
	seen     *snapshot.Master // the newest picture that was told of
	pictures bell

	mu  sync.Mutex // of all
	all map[string]*gateway
	log *zerolog.Logger
}

// New returns Gateways without one. see returns the newest picture of the master.
func New(see func() *snapshot.Master) *Gateways {
	off := zerolog.Nop()
	return &Gateways{see: see, all: map[string]*gateway{}, log: &off}
}

// LogTo has what happens to members logged.
func (g *Gateways) LogTo(log *zerolog.Logger) { g.log = log }

// Values takes over the gateways of a config, and returns its cached values with those of the gateways. The table and the policy of a
// gateway that stays are the same sources as before.
func (g *Gateways) Values(c *config.Config) []config.CacheValue {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, values := g.all, slices.Clone(c.Cache)
	g.all = map[string]*gateway{}
	for _, a := range c.Apps {
		if a.Gateway == nil {
			continue
		}
		one := before[a.Name]
		if one == nil {
			one = newGateway(a.Name, g.see, &g.pictures, g.log)
		}
		one.use(*a.Gateway)
		g.all[a.Name] = one
		rules := config.CacheValue{Key: policy.Key(a.Name)}
		p, err := policy.Encode(a.Gateway.Policy(a.Name))
		if err != nil {
			g.log.Error().Err(err).Str("gateway", a.Name).Msg("the policy stays as it was") // of plain data: it cannot be
			continue
		}
		rules.Fixed = p
		rules.Fill()
		table := config.CacheValue{Key: policy.TableKey(a.Name), Live: &one.table}
		table.Fill()
		values = append(values, rules, table)
	}
	return values
}

// Pictured says which picture of the master is the newest.
func (g *Gateways) Pictured(newest *snapshot.Master) {
	if newest != g.seen {
		g.seen = newest
		g.pictures.ring()
	}
}

// Tell gives a gateway an event. It waits only until the gateway has taken it, and not after ctx is done; false: there is no such
// gateway, or ctx is done.
func (g *Gateways) Tell(ctx context.Context, app string, ev fleet.Event) bool {
	g.mu.Lock()
	one := g.all[app]
	g.mu.Unlock()
	if one == nil {
		return false
	}
	select {
	case one.events <- event{Event: ev}:
		return true
	case <-ctx.Done():
		return false
	}
}

// Outcomes takes a message by which a worker of a gateway tells how requests to members went: see members.DecodeOutcomes. It waits for
// nothing: where too much waits already, the message is dropped, and the next one tells more.
func (g *Gateways) Outcomes(app string, message []byte) {
	g.mu.Lock()
	one := g.all[app]
	g.mu.Unlock()
	if one == nil || len(message) == 0 {
		return
	}
	select {
	case one.events <- event{outcomes: message}:
	default:
	}
}

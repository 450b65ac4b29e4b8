package config

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
)

// Gateway makes an app a gateway: its workers answer no request themselves but pass each on to a member, or tell the client where to go.
// All of it reaches running workers as cached values (packages ipc/members and ipc/policy), so that a change of it restarts none.
type Gateway struct {
	Preset string `json:",omitempty"` // one of Presets, for what the config does not say itself; "": none

	// To are apps of the same config whose workers are members, and Members are servers elsewhere. At least one of the sources of members
	// is needed.
	To      []string        `json:",omitempty"`
	Members []GatewayMember `json:",omitempty"`
	GatewaySources

	// How a member is picked, and a request delivered: see [policy.Policy], whose fields have the same names.
	Pick          string        `json:",omitempty"`
	Key           string        `json:",omitempty"`
	Bounded       float64       `json:",omitempty"`
	Signed        bool          `json:",omitempty"`
	Retry         []string      `json:",omitempty"` // statuses, as text
	Trust         []string      `json:",omitempty"`
	DialTimeout   time.Duration `json:",omitempty"`
	AnswerTimeout time.Duration `json:",omitempty"`
	History       int           `json:",omitempty"`

	Queue    policy.Queue     `json:",omitzero"`
	Score    policy.Score     `json:",omitzero"`
	Evaluate *policy.Evaluate `json:",omitempty"` // nil: the statistics are those that the master has
	// Edge is what it shows to clients. A change of it replaces the workers.
	Edge policy.Edge `json:",omitzero"`

	Delivery
}

// GatewayMember is a server that a config names.
type GatewayMember struct {
	ID      string `json:",omitempty"` // "": the address
	Address string // host:port, or the path of a Unix socket. A name with several addresses is as many members
	Type    string `json:",omitempty"`
	Zone    string `json:",omitempty"`
	// ClientAddress is host:port where clients reach it, if they may be sent there.
	ClientAddress string  `json:",omitempty"`
	Frontend      bool    `json:",omitempty"` // clients may be sent to it
	Weight        float64 // 0 to members.MaxWeight; 0: it is not picked. See NewGatewayMember
	MaxInFlight   int     `json:",omitempty"` // 0: no bound
}

// NewGatewayMember returns a member of weight 1.
func NewGatewayMember(address string) GatewayMember {
	return GatewayMember{Address: address, Weight: 1}
}

// Name is the ID, or else the address.
func (m GatewayMember) Name() string {
	if m.ID != "" {
		return m.ID
	}
	return m.Address
}

// Policy is what g says of requests.
func (g *Gateway) Policy(app string) policy.Policy {
	p := policy.Policy{
		Version: policy.Version, Name: app, Pick: g.Pick, Key: g.Key, Bounded: g.Bounded, Signed: g.Signed,
		Trust: g.Trust, DialTimeout: g.DialTimeout, AnswerTimeout: g.AnswerTimeout, History: g.History,
		Queue: g.Queue, Score: g.Score, Evaluate: g.Evaluate,
		Edge: g.Edge,
	}
	p.Retry = numbers(g.Retry)
	g.into(&p)
	return p
}

// edge is what the app shows to clients as a gateway.
func (a *App) edge() policy.Edge {
	if a.Gateway == nil {
		return policy.Edge{}
	}
	return a.Gateway.Edge
}

// OwnGateway reports whether the workers of a gateway are Tine's own, so that its config names no command.
func (a *App) OwnGateway() bool {
	return a.Gateway != nil && (len(a.Command) == 0 || slices.Equal(a.Command, gatewayCommand()))
}

// gatewayCommand is the command of a gateway's workers, unless its config names another: this program's own. An error means that the
// program is gone: then there is no command, which is told as for any app.
func gatewayCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "gate", "worker"}
}

// gateway checks what makes app a a gateway. all are those of the config.
func (c *checker) gateway(path string, a App, all []App) {
	g := a.Gateway
	if g.Preset != "" {
		c.oneOf(Join(path, "preset"), g.Preset, Presets...)
	}
	if len(g.To) == 0 && len(g.Members) == 0 && g.none() {
		c.fail(path, "no members: write to: [APP] for an app of this config, members: [HOST:PORT], topology: FILE, dns: [NAME:PORT], or processes")
	}
	c.gatewaySources(path, &g.GatewaySources)
	for i, name := range g.To {
		at := Join(path, "to")
		if len(g.To) > 1 {
			at = Index(at, i)
		}
		target := slices.IndexFunc(all, func(a App) bool { return a.Name == name })
		switch {
		case g.Edge.Protocol == policy.ProtocolTCP:
			c.fail(at, "app %s cannot be reached by protocol: tcp: a gateway of connections needs members, dns or a topology; an app of the same config has its own listen", name)
		case name == a.Name:
			c.fail(at, "a gateway cannot pass requests on to itself")
		case target < 0:
			c.fail(at, "%s", noSuchApp(name, all))
		case slices.Contains(g.To[:i], name):
			c.fail(at, "app %s is there twice", name)
		}
	}
	names := map[string]bool{}
	for _, m := range g.Members {
		at := Join(Join(path, "members"), m.Name())
		if err := members.CheckAddresses([]string{m.Address}); err != nil {
			c.fail(at, "%v", err)
		}
		if names[m.Name()] {
			c.fail(at, "member %s is there twice", m.Name())
		}
		names[m.Name()] = true
		if math.IsNaN(m.Weight) || m.Weight < 0 || m.Weight > members.MaxWeight {
			c.fail(Join(at, "weight"), "%v is out of range: write 0 to %v", m.Weight, float64(members.MaxWeight))
		}
		c.between(Join(at, "max_in_flight"), m.MaxInFlight, 0, math.MaxInt32)
	}
	if len(g.Members) > members.MostAddresses {
		c.fail(Join(path, "members"), "%d members: at most %d are expected", len(g.Members), members.MostAddresses)
	}
	for _, address := range g.Edge.TLS.Listen {
		if !slices.Contains(a.Listen, address) {
			c.fail(Join(Join(path, "tls"), "listen"), "%s is not one of the addresses of listen", address)
		}
	}
	for _, r := range g.Routes {
		// Only a source that finds members at run time may have ones of another type.
		if r.To != "" && g.none() && !slices.Contains(g.To, r.To) && !slices.ContainsFunc(g.Members, func(m GatewayMember) bool { return m.Type == r.To }) {
			c.fail(Join(Join(Join(path, "routes"), r.Name), "to"), "no member is of the type %s: write the name of an app in to, or the type of a member", Shorten(r.To))
		}
	}
	c.delivery(path, &g.Delivery)
	p := g.Policy(a.Name)
	for _, f := range p.Check() {
		at := path
		for key := range strings.SplitSeq(f.Field, ".") {
			at = Join(at, key)
		}
		c.fail(at, "%s", f.Text)
	}
	c.score(Join(path, "score"), g)
}

func noSuchApp(name string, all []App) string {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.Name
	}
	if s := Suggest(name, names); s != "" {
		return fmt.Sprintf("there is no app %s: did you mean %s?", Shorten(name), s)
	}
	return fmt.Sprintf("there is no app %s in this config", Shorten(name))
}

package config

import (
	"net"
	"net/url"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
)

// The presets of a gateway. Each is a document that Tine was made from: worker/gate/documents.md says what it asks for and what Tine does.
const (
	PresetReverseProxy = "reverse-proxy"
	PresetShiny        = "shiny"
	PresetPinus        = "pinus"
	PresetK2           = "k2"
)

// Presets are the names of all of them.
var Presets = []string{PresetShiny, PresetReverseProxy, PresetPinus, PresetK2}

// expand sets what the preset of g says and its config does not. It is called on a copy that shares maps with the config: they are not
// written to.
func (g *Gateway) expand() {
	switch g.Preset {
	case PresetShiny:
		// The users of an app are the connections to its own sockets, and each of them counts the same.
		setDefault(&g.Deliver, policy.DeliverRedirect)
		setDefault(&g.Processes.Command, "R")
		setDefault(&g.Processes.User, "shiny")
		if u, err := url.Parse(g.Base); err == nil && u.Host != "" && len(g.Processes.Apps) > 0 {
			port := u.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
			}
			setDefault(&g.Processes.Address, net.JoinHostPort(u.Hostname(), port))
		}
		g.scoreBy(policy.Score{Multipliers: map[members.Stat]float64{members.Connections: 1}, Raw: true})
	case PresetReverseProxy:
		// What the document's formula is meant to say: more memory, more idle CPU and a shorter way are better.
		setDefault(&g.Edge.Protocol, policy.ProtocolTCP)
		g.scoreBy(policy.Score{Formula: "memory_free * cpu_idle / rtt_ms", HighestWins: true})
		setDefault(&g.Reports.URL, "http://{host}:8888/")
		if g.Reports.Stats == nil {
			g.Reports.Stats = map[string]string{string(members.MemoryFree): "RAM", string(members.CPUIdle): "CPU / 100"}
		}
	case PresetPinus:
		setDefault(&g.Deliver, policy.DeliverLookup)
		setDefault(&g.Pick, policy.CRC32Mod)
		setDefault(&g.Key, "query:uid")
	case PresetK2:
		g.scoreBy(policy.Score{})
		e := policy.Evaluate{}
		if g.Evaluate != nil {
			e = *g.Evaluate
		}
		setDefault(&e.Mode, policy.OnRequest)
		setDefault(&e.URL, "http://{address}/statistics")
		if e.Stats == nil {
			e.Stats = map[members.Stat]string{
				"cpu_used": "bscSystemCPUAvg", members.MemoryFree: "bscSystemFreeMemory", members.QueueWait: "bscAppPoolSpandAvg",
				members.Sessions: "bscAppNCLSessions", members.AnonymousSessions: "bscAppAnonymousSessions",
				members.SchedulerSessions: "bscAppSchedulerSessions",
			}
		}
		g.Evaluate = &e
		if g.Sticky == nil {
			g.Sticky = &policy.Sticky{By: policy.StickyLogin, Login: "/login", Logout: "/logout"}
		}
	}
}

// scoreBy picks by a score, unless the config picks otherwise or has a score of its own.
func (g *Gateway) scoreBy(s policy.Score) {
	setDefault(&g.Pick, policy.ByScore)
	if g.Pick == policy.ByScore && g.Score.IsZero() {
		g.Score = s
	}
}

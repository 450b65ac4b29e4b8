package gateways

import (
	"cmp"
	"regexp"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/fleet/dns"
	"github.com/tinehq/tine/supervisor/fleet/processes"
	"github.com/tinehq/tine/supervisor/fleet/reports"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
	"github.com/tinehq/tine/supervisor/fleet/topology"
)

// elsewhere are the sources of members that are not apps of the same master, beside those that the config names.
func (g *gateway) elsewhere(c config.Gateway) (all []spec) {
	if c.Topology != "" {
		const name = "topology"
		all = append(all, specOf(name, [2]string{c.Topology, c.Env}, func() Source {
			return topology.Source{Name: name, File: c.Topology, Environment: c.Env, Warn: g.warn(name)}
		}).as(checked))
	}
	for _, target := range c.DNS.Names {
		all = append(all, specOf("dns "+target, c.DNS.Server, func() Source {
			return dns.New(dns.Options{Name: "dns " + target, Target: target, Server: c.DNS.Server})
		}).as(checked))
	}
	if c.Processes.Command != "" {
		all = append(all, specOf("processes", c.Processes, func() Source { return g.processes("processes", c.Processes) }))
	}
	return all
}

// defaultAppFrom is the expression for the apps of a Shiny server.
const defaultAppFrom = "srv/([^/]+)"

func (g *gateway) processes(name string, p config.GatewayProcesses) Source {
	s := processes.Source{
		Name: name, Command: p.Command, User: p.User, Every: p.Every, Warn: g.warn(name),
		AppFrom: regexp.MustCompile(cmp.Or(p.AppFrom, defaultAppFrom)), // the config was checked
	}
	for _, app := range p.Apps {
		s.Known = append(s.Known, members.Member{ID: app, Address: p.Address, ClientAddress: p.Address, Frontend: true, Weight: 1, State: members.Ready})
	}
	return s
}

// asking are the sources that check members, or ask them for reports.
func (g *gateway) asking(c config.Gateway) (all []spec) {
	k := c.Check
	every := rounds.Options{Every: k.Every, Timeout: k.Timeout}
	if way := wayOf(k); way != nil {
		all = append(all, specOf("check", k, func() Source { return checks.New(way, every, g.warn("check")) }).as(asking))
	}
	if k.Agent != 0 {
		all = append(all, specOf("agent", k, func() Source {
			return checks.New(checks.Agent{Port: k.Agent, Send: k.AgentSend}, every, g.warn("agent"))
		}).as(asking))
	}
	if r := c.Reports; r.URL != "" {
		all = append(all, specOf("reports", r, func() Source {
			return reports.New(reports.Options{Question: r.Question(), Rounds: rounds.Options{Every: r.Every, Timeout: r.Timeout}, Warn: g.warn("reports")})
		}).as(asking))
	}
	return all
}

// wayOf is how members are checked; nil: not at all.
func wayOf(k config.GatewayCheck) checks.Way {
	switch k.By() {
	case config.CheckNone:
		return nil
	case config.CheckHTTP:
		statuses, _ := checks.ParseStatuses(k.Status) // it was checked; "" has those that are usual
		return checks.HTTP{Path: k.Path, Host: k.Host, Statuses: statuses, TLS: k.TLS, Insecure: k.Insecure}
	}
	return checks.TCP{}
}

// warn logs what a source says beside its events.
func (g *gateway) warn(source string) func(string) {
	return func(text string) {
		g.log.Warn().Str("gateway", g.name).Str("source", source).Str("reason", text).Msg("members: warning")
	}
}

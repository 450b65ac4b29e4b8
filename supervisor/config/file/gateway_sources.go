package file

import (
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

// gatewaySources are the keys that say where a gateway's members come from, and how it is found out how they are.
func (d *decoder) gatewaySources(s *config.GatewaySources) []field {
	some := func(to *time.Duration) codec { return d.duration(to).when(func() bool { return *to != 0 }) }
	count := func(to *int, most int) codec {
		return d.integer(to, 0, most, "off").when(func() bool { return *to != 0 })
	}
	p, k, r := &s.Processes, &s.Check, &s.Reports
	return []field{
		{"topology", d.pathInto(&s.Topology)},
		{"env", d.textInto(&s.Env)},
		{"dns", d.short("names", []field{
			{"names", d.list(&s.DNS.Names, nil)},
			{"server", d.textInto(&s.DNS.Server)},
		})},
		{"processes", d.sectionOf([]field{
			{"command", d.textInto(&p.Command)},
			{"user", d.textInto(&p.User)},
			{"app_from", d.textInto(&p.AppFrom)},
			{"apps", d.list(&p.Apps, nil)},
			{"address", d.textInto(&p.Address)},
			{"every", some(&p.Every)},
		})},
		{"check", d.short("way", []field{
			{"way", d.word(&k.Way, config.CheckTCP, config.CheckHTTP, config.CheckNone)},
			{"path", d.textInto(&k.Path)},
			{"host", d.textInto(&k.Host)},
			{"status", d.textInto(&k.Status)},
			{"tls", d.boolean(&k.TLS)},
			{"insecure", d.boolean(&k.Insecure)},
			{"every", some(&k.Every)},
			{"timeout", some(&k.Timeout)},
			{"fall", count(&k.Fall, 1<<31-1)},
			{"rise", count(&k.Rise, 1<<31-1)},
			{"agent", count(&k.Agent, 65535)},
			{"agent_send", d.textInto(&k.AgentSend)},
		})},
		{"reports", d.short("url", []field{
			{"url", d.textInto(&r.URL)},
			{"stats", d.env(&r.Stats)},
			{"every", some(&r.Every)},
			{"timeout", some(&r.Timeout)},
		})},
	}
}

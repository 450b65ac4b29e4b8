package file

import (
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
)

// deliveryFields are the keys of a gateway that say where requests go, how they are delivered, and when a member gets none.
func (d *decoder) deliveryFields(g *config.Delivery) []field {
	set := func(t *time.Duration) codec { return d.duration(t).when(func() bool { return *t != 0 }) }
	return []field{
		{"routes", d.routes(&g.Routes)},
		{"sticky", d.sticky(&g.Sticky)},
		{"deliver", d.word(&g.Deliver, policy.Delivers...)},
		{"base", d.textInto(&g.Base)},
		{"keep_path", d.boolean(&g.KeepPath)},
		{"replay", orWords(d, d.size(&g.Replay), &g.Replay, meaning[int64]{"on", config.DefaultReplay}).when(func() bool { return g.Replay != 0 })},
		{"eject", d.short("failures", []field{
			{"status", d.list(&g.Eject.Status, nil)},
			{"failures", orWords(d, d.integerAs(&g.Eject.Failures, 1, 1_000_000, "write off or 1 to 1000000"), &g.Eject.Failures, meaning[int]{"off", config.EjectOff})},
			{"for", set(&g.Eject.For)},
			{"longest", set(&g.Eject.Longest)},
		})},
		{"panic", orWords(d, d.share(&g.Panic), &g.Panic, meaning[float64]{"off", config.PanicOff}).when(func() bool { return g.Panic != 0 })},
		{"slow_start", set(&g.SlowStart)},
	}
}

// routes decodes routes by name, in their order.
func (d *decoder) routes(to *[]policy.Route) codec {
	section := func(r *policy.Route) codec {
		return d.sectionOf([]field{
			{"host", d.list(&r.Hosts, nil)},
			{"path", d.textInto(&r.Path)},
			{"methods", d.list(&r.Methods, nil)},
			{"strip", d.boolean(&r.Strip)},
			{"to", d.textInto(&r.To)},
			{"key", d.textInto(&r.Key)},
			{"pick", d.textInto(&r.Pick)},
			{"deliver", d.word(&r.Deliver, policy.Delivers...)},
		})
	}
	return codec{
		func(path string, n ast.Node) {
			*to = nil
			for _, e := range d.entries(path, n) {
				at := config.Join(path, e.key)
				d.values[at] = d.valuePlace(e)
				r := policy.Route{Name: e.key}
				section(&r).decode(at, e.value)
				*to = append(*to, r)
			}
		},
		anyOf(mapSchema(section(&policy.Route{}).schema)),
		func() any {
			var p pairs
			for _, r := range *to {
				p = append(p, pair{r.Name, section(&r).show()})
			}
			if p == nil {
				return nil
			}
			return p
		},
	}
}

// sticky decodes how users stay at a member.
func (d *decoder) sticky(to **policy.Sticky) codec {
	s := *to
	if s == nil {
		s = &policy.Sticky{}
	}
	c := d.short("by", []field{
		{"by", d.textInto(&s.By)},
		{"cookie", d.textInto(&s.Cookie)},
		{"secret", d.textInto(&s.Secret)},
		{"age", d.duration(&s.Age).when(func() bool { return s.Age != 0 })},
		{"login", d.textInto(&s.Login)},
		{"logout", d.textInto(&s.Logout)},
		{"draining", d.boolean(&s.Draining)},
	})
	return c.then(func(string, ast.Node) { *to = s }).when(func() bool { return *to != nil })
}

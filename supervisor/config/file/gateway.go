package file

import (
	"math"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
)

// gateway decodes what makes an app a gateway.
func (d *decoder) gateway(to **config.Gateway) codec {
	g := *to
	if g == nil {
		g = &config.Gateway{}
	}
	c := d.sectionOf(append(d.gatewayFields(g), d.edgeFields(&g.Edge)...)).then(func(string, ast.Node) { *to = g })
	return c.when(func() bool { return *to != nil })
}

// gatewayFields are the keys of a gateway.
func (d *decoder) gatewayFields(g *config.Gateway) []field {
	return append([]field{
		{"preset", d.word(&g.Preset, config.Presets...)},
		{"to", d.list(&g.To, nil)},
		{"members", d.gatewayMembers(&g.Members)},
		{"pick", d.textInto(&g.Pick)},
		{"key", d.textInto(&g.Key)},
		{"bounded", d.number(&g.Bounded)},
		{"signed", d.boolean(&g.Signed)},
		{"retry", d.list(&g.Retry, nil)},
		{"trust", d.list(&g.Trust, nil)},
		{"dial_timeout", d.duration(&g.DialTimeout).when(func() bool { return g.DialTimeout != 0 })},
		{"history", d.integer(&g.History, 0, policy.MostHistory, "off")},
		{"queue", d.gatewayQueue(&g.Queue)},
		{"score", d.score(&g.Score)},
		{"evaluate", d.evaluate(&g.Evaluate)},
		{"answer_timeout", d.duration(&g.AnswerTimeout).when(func() bool { return g.AnswerTimeout != 0 })},
	}, append(d.gatewaySources(&g.GatewaySources), d.deliveryFields(&g.Delivery)...)...)
}

// gatewayMembers decodes one address, a list of addresses, or members by ID, each an address or a section.
func (d *decoder) gatewayMembers(to *[]config.GatewayMember) codec {
	plain := new([]string)
	list := d.list(plain, nil)
	section := func(m *config.GatewayMember) codec {
		return d.short("address", []field{
			{"address", d.textInto(&m.Address)},
			{"type", d.textInto(&m.Type)},
			{"zone", d.textInto(&m.Zone)},
			{"client_address", d.textInto(&m.ClientAddress)},
			{"frontend", d.boolean(&m.Frontend)},
			{"weight", d.number(&m.Weight)},
			{"max_in_flight", d.integer(&m.MaxInFlight, 0, 1<<31-1, "off")},
		})
	}
	one := config.NewGatewayMember("")
	return codec{
		func(path string, n ast.Node) {
			*to = nil
			switch d.resolve(path, n).(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				for _, e := range d.entries(path, n) {
					at := config.Join(path, e.key)
					d.values[at] = d.valuePlace(e)
					m := config.NewGatewayMember("")
					m.ID = e.key
					section(&m).decode(at, e.value)
					*to = append(*to, m)
				}
			default:
				list.decode(path, n)
				for i, address := range *plain {
					d.placeByName(path, i, address)
					*to = append(*to, config.NewGatewayMember(address))
				}
			}
		},
		anyOf(list.schema, mapSchema(section(&one).schema)),
		func() any {
			if len(*to) == 0 {
				return nil
			}
			var p pairs
			for _, m := range *to {
				p = append(p, pair{m.Name(), section(&m).show()})
			}
			return p
		},
	}
}

// number decodes a number of 0 or more.
func (d *decoder) number(to *float64) codec {
	const want = "write a number such as 1.25"
	return codec{
		func(path string, n ast.Node) {
			n2 := d.resolve(path, n)
			switch n2.(type) {
			case *ast.FloatNode, *ast.IntegerNode:
				if v, err := strconv.ParseFloat(n2.GetToken().Value, 64); err == nil && v >= 0 && v <= members.MaxWeight {
					*to = v
					return
				}
				d.fail(n, path, "%s is out of range: %s", n2.GetToken().Value, want)
			default:
				d.wrong(path, "%s is not a number: %s", describe(n2), want)
			}
		},
		anyOf(&schema{Type: "number", Minimum: new(float64(0))}, variableSchema()),
		func() any {
			if *to == 0 {
				return nil
			}
			return *to
		},
	}
}

// gatewayQueue decodes the queue of a gateway: a section, or off.
func (d *decoder) gatewayQueue(to *policy.Queue) codec {
	lifo := !to.FIFO
	most := d.integerAs(&to.Max, 1, math.MaxInt32, "write 1 to 2147483647")
	c := d.sectionOf([]field{
		{"max", most.when(func() bool { return to.Max > 0 })},
		{"max_bytes", d.sizeAs(&to.MaxBytes, ParseSize).when(func() bool { return to.MaxBytes != 0 })},
		{"timeout", d.duration(&to.Timeout).when(func() bool { return to.Timeout != 0 })},
		{"target", d.duration(&to.Target).when(func() bool { return to.Target != 0 })},
		{"interval", d.duration(&to.Interval).when(func() bool { return to.Interval != 0 })},
		{"lifo", codec{
			func(path string, n ast.Node) {
				d.boolean(&lifo).decode(path, n)
				to.FIFO = !lifo
			},
			d.boolean(&lifo).schema,
			func() any {
				if !to.FIFO {
					return nil
				}
				return false
			},
		}},
		{"priority_header", d.textInto(&to.PriorityHeader)},
	})
	return orWords(d, c, &to.Max, meaning[int]{"off", policy.NoQueue})
}

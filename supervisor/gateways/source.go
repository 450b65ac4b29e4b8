package gateways

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
)

// Source tells of members, in one list: whatever name its fleet.Listed has, it is taken for the source's own. Run emits events
// (fleet.Listed, Silent, Reported, Checked, Advised) until ctx is done. emit may be called from several goroutines; it waits only until the
// gateway has taken the event, and not after ctx is done.
type Source interface {
	Run(ctx context.Context, emit func(fleet.Event))
}

// A follower is a Source that is told of the members of the gateway's table that are checked, whenever there is a new one. Update does not block.
type follower interface{ Update([]members.Member) }

// sourceKind is what a source does.
type sourceKind uint8

const (
	listing sourceKind = iota // it lists members, and knows how they are
	checked                   // it lists members, which are checked and asked for reports
	asking                    // it lists none, and asks the members of others
)

// spec is one source that a config asks for.
type spec struct {
	sourceKind
	name string // of it, unique in its gateway: it begins the names in fleet.Listed
	with string // all that it is made of: a source of another with is another source
	make func() Source
}

// specOf makes a spec. of is all that decides what the source does.
func specOf(name string, of any, make func() Source) spec {
	with, err := json.Marshal(of)
	if err != nil {
		with = fmt.Append(nil, err) // of plain data: it cannot be
	}
	return spec{name: name, with: string(with), make: make}
}

func (s spec) as(kind sourceKind) spec {
	s.sourceKind = kind
	return s
}

// specs are the sources of a gateway, in the order in which their members stand in the table.
func (g *gateway) specs(c config.Gateway) (all []spec) {
	for _, app := range c.To {
		all = append(all, specOf("app "+app, app, func() Source { return &slots{app: app, see: g.see, pictures: g.pictures} }))
	}
	if len(c.Members) > 0 {
		all = append(all, specOf("members", c.Members, func() Source { return newNamed(c.Members) }).as(checked))
	}
	all = append(all, g.elsewhere(c)...)
	return append(all, g.asking(c)...)
}

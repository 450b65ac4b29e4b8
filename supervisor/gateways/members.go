package gateways

import (
	"context"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/targets"
)

// every is the time from one look at the members that a config names to the next.
const every = time.Second

// named is the source of the members that a config names: their names are looked up every second.
type named struct{ targets *targets.Targets }

func newNamed(all []config.GatewayMember) *named {
	list := make([]members.Member, len(all))
	for i, m := range all {
		list[i] = members.Member{
			ID: m.ID, Type: m.Type, Zone: m.Zone, Address: m.Address, ClientAddress: m.ClientAddress, Frontend: m.Frontend,
			Weight: m.Weight, MaxInFlight: m.MaxInFlight, State: members.Ready,
		}
	}
	return &named{targets.Of(list)}
}

// Run looks at them.
func (n *named) Run(ctx context.Context, emit func(fleet.Event)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n.targets.Look(ctx, emit)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

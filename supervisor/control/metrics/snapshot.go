package metrics

import (
	"context"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Source is the master. Its methods are safe for concurrent use and end with ctx.
type Source interface {
	// Snapshot is what the master knows at one moment. The caller owns it.
	Snapshot(ctx context.Context) (*Snapshot, error)
	// Gateways is that of api.Commander, of all gateways.
	Gateways(ctx context.Context) (api.Gateways, error)
	// Call is that of api.Commander.
	Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error)
}

// Snapshot is what there is to tell.
type Snapshot struct {
	Version string // of tine
	Uptime  time.Duration
	Apps    []App // in the order of the config
	Epoch   uint64
	Values  []Value
}

// App is one app. The counts go on over its workers, stops and starts.
type App struct {
	Name, Namespace, State     string // State is one of control's
	Desired, Ready, Standbys   int
	Generation                 int
	Restarts, Crashes          uint64
	Rolled, Aborted, Cancelled uint64 // rollouts, by how they ended
	Rolling                    bool   // one is under way
	Steering, Policy           string
	Exact                      bool // steering does just what the policy says
	Refused                    uint64
	Addresses                  []Address
	Slots                      []Slot
	Workers                    []Worker // that can be asked: with a slot, and a channel
}

// Address is one that an app listens on.
type Address struct {
	Address   string
	Reachable bool // by clients on this machine
}

// Slot is one slot of an app: what its workers do, and what all of them have done.
type Slot struct {
	InFlight int           // requests
	Open     int           // connections
	Oldest   time.Duration // age of the oldest request in flight; 0: none
	Stalled  bool
	RSS      int64 // bytes
	Totals   ipc.Stats
}

// Worker is one that can be asked.
type Worker struct {
	Slot  int
	ID    uint64
	Ready bool // else it is draining
}

// Value is one cached value.
type Value struct {
	Key          string
	Epoch        uint64 // 0: it has no value yet
	Bytes        int
	Age, Checked time.Duration // since it changed, since its source confirmed it
	Failures     uint64        // of its source
}

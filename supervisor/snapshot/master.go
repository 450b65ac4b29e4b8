package snapshot

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// Master is what the loop of a master knew at the end of a turn. Nothing in it may be changed.
type Master struct {
	Name      string // of the master; "": it has none
	KeeperPID int    // of the process that starts the next master when this one crashes; 0: none does
	StartedAt time.Time
	Config    *config.Config // that runs, with its defaults
	Stopping  bool
	WasReady  bool // every app was ready once, or is not waited for

	Succession *api.Succession // how this master came to be in charge of workers; nil: it has started all
	Unkept     string          // what a crash of this master would lose; "": nothing

	Values cache.Known

	// Apps are all that the loop has, in the order of the config: also one that another of its name replaces, and one that
	// has ended by a change of the config.
	Apps []*App
	// Listed are those of Apps that are shown to people: of a name the last, and none that the config no longer has.
	Listed []*App
}

// App is one app.
type App struct {
	Name, Namespace string
	State           string      // one of api's
	Pool            pool.Status // of its workers, by slot

	OneShot   bool
	Listens   bool   // its config has addresses
	EverReady bool   // all its workers were ready at the same time once
	Ended     bool   // no worker is left, and none comes by itself
	Waiting   bool   // for the apps that it depends on
	Leaving   bool   // it was told to stop
	Goes      bool   // for good: a new config does not have it
	Failed    bool   // it gave up, or waits for an app that will not come by itself
	Trouble   string // why it does not run as it should; "": it does

	Listen  []string  // where it listens, with the real port; of one that has ended, where it will again
	Reaches []Address // what clients see at its addresses; of one that has ended, none
	NextRun time.Time // by its schedule; zero: at no time

	Restarts, Crashes          uint64
	Rolled, Aborted, Cancelled uint64       // rollouts, by how they ended
	LastRollout                *api.Rollout // the last one, if it was aborted
	Release, Previous          *api.Release // that runs, and the one that a rollback goes back to; nil: there is none
	History                    []SlotHistory

	// Totals are the counts of the workers that have gone, by slot; nil: no worker of the slot has.
	Totals []*ipc.Stats
	// Workers are the processes that have not ended, in no order. Pool has also those that are about to be started.
	Workers []Worker

	Sockets *listen.Set // of which Steering may be called at any time

	// Inner is the prefix of the paths of the slots' inner sockets, for listen.InnerPath; "": there are none.
	Inner       string
	MaxInFlight int // requests that a gateway sends a worker at once; 0: there is no bound
}

// Address is one that an app listens on.
type Address struct {
	Address string
	Why     string // why clients do not reach it; "": they do
}

// SlotHistory is what a slot has seen.
type SlotHistory struct {
	Restarts int
	LastExit string // of the worker before, as status shows it
}

// Worker is one process.
type Worker struct {
	ID     pool.WorkerID
	Slot   int  // -1: a standby
	Ready  bool // and not draining
	Unkept bool // a crash of the master would lose it
	Inner  bool // it answers requests on its slot's inner socket

	Process *proc.Process // nil: it is not there yet
	Seat    *Seat         // nil: it has no row on the scoreboard
	Channel Channel       // nil: there is none
}

// Channel is a worker's, of which readers in any goroutine may ask how far it has come.
type Channel interface {
	// Acked is the epoch up to which the worker has applied all changes of the values.
	Acked() uint64
}

// Epoch is that of the values that the worker has, where the newest is that of the master. A worker may say anything.
func (w *Worker) Epoch(newest uint64) uint64 {
	if w.Channel == nil {
		return 0
	}
	return min(w.Channel.Acked(), newest)
}

// Addresses are where the app listens, or did, with the real port in place of 0.
func (a *App) Addresses() (all []string) {
	for _, at := range a.Sockets.Addresses() {
		all = append(all, at.String())
	}
	return all
}

// WorkersByID are the processes by the id of their workers.
func (a *App) WorkersByID() map[pool.WorkerID]*Worker {
	all := make(map[pool.WorkerID]*Worker, len(a.Workers))
	for i := range a.Workers {
		all[a.Workers[i].ID] = &a.Workers[i]
	}
	return all
}

// Total is what the workers of a slot have done that have gone.
func (a *App) Total(slot int) ipc.Stats {
	if slot < len(a.Totals) && a.Totals[slot] != nil {
		return *a.Totals[slot]
	}
	return ipc.Stats{}
}

// Unreachable are the addresses that clients do not reach.
func (a *App) Unreachable() (all []api.Unreachable) {
	for _, at := range a.Reaches {
		if at.Why != "" {
			all = append(all, api.Unreachable{Address: at.Address, Reason: at.Why})
		}
	}
	return all
}

// UnreachableText is what is wrong with the app's addresses, in one line; "": nothing.
func (a *App) UnreachableText() string {
	all := a.Unreachable()
	if len(all) == 0 {
		return ""
	}
	text := fmt.Sprintf("%s is unreachable: %s", all[0].Address, all[0].Reason)
	if more := len(all) - 1; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

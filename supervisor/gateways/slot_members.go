package gateways

import (
	"fmt"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// slotMembers are the slots of an app as members, each reached by its inner socket. ok is false where the app is one member instead, at its
// addresses: it has no inner sockets, or a worker that is ready serves none, as its program does not serve HTTP by package worker, or was
// built with a version without inner sockets. Of an app without addresses its slots are members in any case, and the table says what they
// lack.
func slotMembers(app *snapshot.App) (all []members.Member, ok bool) {
	if app.Inner == "" {
		return nil, false
	}
	serves := map[pool.WorkerID]bool{}
	for i := range app.Workers {
		serves[app.Workers[i].ID] = app.Workers[i].Inner
	}
	for i := range app.Pool.Slots {
		s := &app.Pool.Slots[i]
		if w := readyIn(s); w != nil && !serves[w.ID] && app.Listens {
			return nil, false
		}
		m := members.Member{
			ID: fmt.Sprintf("%s/%d", app.Name, s.Slot), Type: app.Name, Address: listen.InnerPath(app.Inner, s.Slot),
			Weight: 1, MaxInFlight: app.MaxInFlight,
		}
		m.State, m.Why = stateOf(app, s, serves)
		all = append(all, m)
	}
	return all, true
}

// readyIn is the worker of a slot that is ready; nil: none is.
func readyIn(s *pool.SlotStatus) *pool.WorkerStatus { return in(s, pool.StateReady) }

func in(s *pool.SlotStatus, state pool.State) *pool.WorkerStatus {
	for i := range s.Workers {
		if s.Workers[i].State == state {
			return &s.Workers[i]
		}
	}
	return nil
}

// stateOf is that of a slot, and why it is so. What waits at its socket is answered by its next worker; new requests go to slots that have
// one.
func stateOf(app *snapshot.App, s *pool.SlotStatus, serves map[pool.WorkerID]bool) (members.State, string) {
	ready := readyIn(s)
	switch {
	case app.Leaving:
		return members.Draining, "the app is being stopped"
	case s.Retiring:
		return members.Draining, "the slot is being closed: the app is scaled down"
	case ready != nil && ready.Stalled != "":
		return members.Down, "its worker stands still: " + ready.Stalled
	case ready != nil && !serves[ready.ID]:
		return members.Down, "its worker does not serve its inner socket: give the app an address, or have it serve HTTP by package worker"
	case ready != nil:
		return members.Ready, ""
	case app.Waiting:
		return members.Starting, "the app waits for the apps that it depends on"
	case s.Held != "":
		return members.Down, "it is held: " + s.Held
	case in(s, pool.StateStarting) != nil:
		return members.Starting, "its worker is not ready yet"
	case in(s, pool.StateDraining) != nil:
		return members.Draining, "its worker finishes what it has, and the next one is not ready yet"
	case s.Finished:
		return members.Down, "its worker has finished"
	case s.State == pool.SlotBackoff && s.Failures > 0:
		return members.Down, fmt.Sprintf("%d workers in a row have failed; the next one is started in a moment", s.Failures)
	}
	return members.Down, "it has no worker"
}

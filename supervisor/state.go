package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// stateVersion is that of savedState. Fields come without a new one; it rises when an
// older master would misread what is there.
const stateVersion = 1

// savedState is all that the next master must know, but for the files: see keep.go.
type savedState struct {
	Version  int       `json:"version"`
	Master   int       `json:"master"` // PID of who wrote it
	At       int64     `json:"at"`     // when, as ipc.Monotonic has it
	Keys     int       `json:"keys"`
	WasReady bool      `json:"was_ready"`
	Stopping bool      `json:"stopping,omitempty"`
	Asked    bool      `json:"asked,omitempty"`
	Stop     savedStop `json:"stop,omitzero"`

	Config  json.RawMessage `json:"config,omitempty"` // savedConfig
	Sockets []savedSockets  `json:"sockets"`
	Apps    []savedApp      `json:"apps"`
	Ended   []savedEnded    `json:"ended,omitempty"`
}

// savedStop are the times of a stop, in nanoseconds of [ipc.Monotonic]; 0: zero. See [apps.Apps.StopTimes].
type savedStop struct {
	DrainAt int64 `json:"drain_at,omitempty"`
	EndBy   int64 `json:"end_by,omitempty"`
}

func saveStop(drainAt, endBy time.Time) savedStop {
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return ipc.Monotonic() + int64(time.Until(t))
	}
	return savedStop{DrainAt: at(drainAt), EndBy: at(endBy)}
}

func (s savedStop) restored() (drainAt, endBy time.Time) {
	at := func(n int64) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Now().Add(time.Duration(n - ipc.Monotonic()))
	}
	return at(s.DrainAt), at(s.EndBy)
}

type savedSockets struct {
	Key int          `json:"key"`
	Set listen.Saved `json:"set"`
}

type savedApp struct {
	Key         int                     `json:"key"`
	Sockets     int                     `json:"sockets"` // their key
	Config      config.App              `json:"config"`
	Pool        pool.Saved              `json:"pool"`
	Generations map[int]savedGeneration `json:"generations"`
	Members     []savedMember           `json:"members"`
	EverReady   bool                    `json:"ever_ready,omitempty"`
	Added       bool                    `json:"added,omitempty"`
	Leaving     bool                    `json:"leaving,omitempty"`
	Halted      bool                    `json:"halted,omitempty"`
	StartWith   int                     `json:"start_with,omitempty"`
	Replaces    int                     `json:"replaces,omitempty"` // key of the app; 0: none
	NextRun     time.Time               `json:"next_run,omitzero"`  // by its schedule
	History     savedHistory            `json:"history"`
	Place       int                     `json:"place,omitempty"` // among all apps
	Previous    *savedRelease           `json:"previous,omitempty"`
	BackTo      *savedRelease           `json:"back_to,omitempty"`

	at int64 // of when it is, as ipc.Monotonic has it
}

// savedGeneration is how its workers are started. Command is nil if none was yet.
type savedGeneration struct {
	Config  config.App    `json:"config"`
	Command *proc.Command `json:"command,omitempty"`
	At      time.Time     `json:"at,omitzero"`
	Back    bool          `json:"back,omitempty"`
}

type savedMember struct {
	ID         pool.WorkerID `json:"id"`
	PID        int           `json:"pid"`
	Slot       int           `json:"slot"`
	Seat       int           `json:"seat"` // -1: none
	Generation int           `json:"generation"`
	Ready      bool          `json:"ready,omitempty"`
	Greeted    bool          `json:"greeted,omitempty"`
	Left       bool          `json:"left,omitempty"`
	Drains     bool          `json:"drains,omitempty"`
	Jitter     float64       `json:"jitter"`
	Exit       *savedExit    `json:"exit,omitempty"`
}

// saveInTime writes the record once more for what the orders of steps have changed: what
// is counted, and who was greeted. A burst of events waits for its end.
func (l *loop) saveInTime() {
	if l.saveDue && (len(l.s.inbox) == 0 || l.saveDelayed > inboxSize) {
		l.saveDelayed = 0
		l.saveChanged()
		return
	}
	l.saveDelayed++
}

// savedHead is the state without the apps and the config.
func (l *loop) savedHead() savedState {
	return savedState{
		Version: stateVersion, Master: os.Getpid(), At: ipc.Monotonic(), Keys: l.keys,
		WasReady: l.state.Ready(), Stopping: l.state.Stopping(), Asked: l.state.Asked(), Stop: saveStop(l.state.StopTimes()),
	}
}

func (l *loop) savedApp(a *app, now time.Time) savedApp {
	s := savedApp{
		Key: a.key, Place: a.place, Sockets: a.sockets.key, Config: a.config, Pool: a.pool.Snapshot(now),
		Generations: map[int]savedGeneration{}, EverReady: a.run.EverReady(), Added: a.run.Origin() != apps.FromStart, Leaving: a.leaves(),
		// Stopped to be started again, it is started by the next master, which knows nothing of the order.
		Halted: a.halted() && a.run.Next() == 0, StartWith: a.startWith,
		History: a.savedHistory(), NextRun: a.run.NextRun(),
	}
	if old := l.byID[a.run.Replaces()]; old != nil && !old.ended() {
		s.Replaces = old.key
	}
	for n, g := range a.generations {
		s.Generations[n] = savedOf(g)
	}
	if a.previous != nil {
		s.Previous = &savedRelease{savedOf(a.previous), a.previousUntil}
	}
	if a.backTo != nil {
		s.BackTo = &savedRelease{savedGeneration: savedOf(a.backTo)}
	}
	for _, m := range a.inOrder() {
		saved := savedMember{
			ID: m.id, PID: m.proc.PID(), Slot: m.slot, Seat: -1, Generation: m.generation,
			Ready: m.ready, Greeted: m.greeted, Left: m.left, Drains: m.drains, Jitter: m.jitter,
		}
		if m.row != nil {
			saved.Seat = m.seat
		}
		saved.Exit = m.unjudged
		s.Members = append(s.Members, saved)
	}
	return s
}

func readState(blob []byte) (s savedState, err error) {
	if err = json.Unmarshal(blob, &s); err != nil {
		return s, fmt.Errorf("cannot read the record of the last master: %w", err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("cannot read the record of the last master: its version is %d, %d is known", s.Version, stateVersion)
	}
	s.dated()
	return s, nil
}

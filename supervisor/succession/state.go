package succession

import (
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// Version is that of State. New fields do not change it; it rises when an older master would misread what is there.
const Version = 1

// State is all that the next master must know, but for the files: see [WorkerName] and [SocketsName] for their names.
type State struct {
	Version  int   `json:"version"`
	Master   int   `json:"master"` // PID of the master that wrote it
	At       int64 `json:"at"`     // when it was written, as [ipc.Monotonic] has it
	Keys     int   `json:"keys"`   // the highest key that an app or sockets were given
	WasReady bool  `json:"was_ready"`
	Stopping bool  `json:"stopping,omitempty"`
	Asked    bool  `json:"asked,omitempty"` // a person has asked to stop
	Stop     Stop  `json:"stop,omitzero"`

	Config  json.RawMessage `json:"config,omitempty"` // a Config
	Sockets []Sockets       `json:"sockets"`
	Apps    []App           `json:"apps"`
	Ended   []Ended         `json:"ended,omitempty"`
}

// Stop are the times of a stop, in nanoseconds of [ipc.Monotonic]; 0: zero.
type Stop struct {
	DrainAt int64 `json:"drain_at,omitempty"`
	EndBy   int64 `json:"end_by,omitempty"`
}

// SaveStop is a Stop with those times.
func SaveStop(drainAt, endBy time.Time) Stop {
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return ipc.Monotonic() + int64(time.Until(t))
	}
	return Stop{DrainAt: at(drainAt), EndBy: at(endBy)}
}

// Restored returns the times again.
func (s Stop) Restored() (drainAt, endBy time.Time) {
	at := func(n int64) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Now().Add(time.Duration(n - ipc.Monotonic()))
	}
	return at(s.DrainAt), at(s.EndBy)
}

// Sockets are those of an app, and of the one that it replaces.
type Sockets struct {
	Key int          `json:"key"`
	Set listen.Saved `json:"set"`
}

// App is an app that runs.
type App struct {
	Key         int                `json:"key"`
	Sockets     int                `json:"sockets"` // their key
	Config      config.App         `json:"config"`
	Pool        pool.Saved         `json:"pool"`
	Generations map[int]Generation `json:"generations"`
	Members     []Member           `json:"members"` // by ID
	EverReady   bool               `json:"ever_ready,omitempty"`
	Added       bool               `json:"added,omitempty"`
	Leaving     bool               `json:"leaving,omitempty"`
	Halted      bool               `json:"halted,omitempty"`
	StartWith   int                `json:"start_with,omitempty"`
	Replaces    int                `json:"replaces,omitempty"` // key of the app; 0: none
	NextRun     time.Time          `json:"next_run,omitzero"`  // by its schedule
	History     History            `json:"history"`
	Place       int                `json:"place,omitempty"` // among all apps
	Previous    *Release           `json:"previous,omitempty"`
	BackTo      *Release           `json:"back_to,omitempty"`

	At int64 `json:"-"` // when the app was like this, as [ipc.Monotonic] has it; see Read
}

// Generation is how its workers are started. Command is nil if none was yet.
type Generation struct {
	Config  config.App    `json:"config"`
	Command *proc.Command `json:"command,omitempty"`
	At      time.Time     `json:"at,omitzero"`
	Back    bool          `json:"back,omitempty"`
}

// Release is a generation that is remembered, and until when it was the one that ran.
type Release struct {
	Generation
	Until time.Time `json:"until,omitzero"`
}

// Member is a worker process as the loop knows it. What the pool knows of it is in App.Pool.
type Member struct {
	ID         pool.WorkerID `json:"id"`
	PID        int           `json:"pid"`
	Slot       int           `json:"slot"` // -1: a standby
	Seat       int           `json:"seat"` // -1: none
	Generation int           `json:"generation"`
	Ready      bool          `json:"ready,omitempty"`
	Greeted    bool          `json:"greeted,omitempty"`
	Left       bool          `json:"left,omitempty"`
	Drains     bool          `json:"drains,omitempty"`
	Jitter     float64       `json:"jitter"`
	Exit       *Exit         `json:"exit,omitempty"`
	Inner      bool          `json:"inner,omitempty"` // it serves its slot's inner socket
}

// Exit is how a worker has ended while the master was handing over: the next master judges that end.
type Exit struct {
	Code    int            `json:"code"`
	Signal  syscall.Signal `json:"signal,omitempty"`
	Unknown bool           `json:"unknown,omitempty"`
	Left    bool           `json:"left,omitempty"`  // it ended on purpose: [ipc.Lifeline.Left]
	Line    string         `json:"line,omitempty"`  // proc.Exit.LastLine
	Lines   string         `json:"lines,omitempty"` // proc.Exit.LastLines
}

// SaveExit is an Exit of what a process left behind.
func SaveExit(e proc.Exit, left bool) *Exit {
	return &Exit{Code: e.Code, Signal: e.Signal, Unknown: e.Unknown, Left: left, Line: e.LastLine, Lines: e.LastLines}
}

// Restored returns the exit again.
func (e *Exit) Restored() proc.Exit {
	return proc.Exit{Code: e.Code, Signal: e.Signal, Unknown: e.Unknown, LastLine: e.Line, LastLines: e.Lines}
}

// Ended is an app that has ended, by itself or by an order, and is still listed. The next master must know it, or it would
// start it as one that the config has and that does not run: a one-shot app would do its work again.
type Ended struct {
	Key       int        `json:"key,omitempty"` // 0: of a version that gave it none
	Place     int        `json:"place"`         // among all apps
	Config    config.App `json:"config"`
	Pool      pool.Saved `json:"pool"`
	Halted    bool       `json:"halted,omitempty"`
	Ordered   bool       `json:"ordered,omitempty"`
	EverReady bool       `json:"ever_ready,omitempty"`
	Added     bool       `json:"added,omitempty"`
	StartWith int        `json:"start_with,omitempty"`
	Code      int        `json:"code,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Error     string     `json:"error,omitempty"`
	History   History    `json:"history"`
	NextRun   time.Time  `json:"next_run,omitzero"` // by its schedule

	At int64 `json:"-"` // as in App
}

// History is what an app has behind it, so that counters do not go back under another master.
type History struct {
	Restarts       uint64            `json:"restarts,omitempty"`
	Crashes        uint64            `json:"crashes,omitempty"`
	Rollouts       map[string]uint64 `json:"rollouts,omitempty"` // by the kind of their end
	Slots          []SlotHistory     `json:"slots,omitempty"`
	Rollout        *api.Rollout      `json:"rollout,omitempty"` // the last one, if it was aborted
	RolloutReason  string            `json:"rollout_reason,omitempty"`
	LastID         pool.WorkerID     `json:"last_id,omitempty"`
	LastGeneration int               `json:"last_generation,omitempty"`
	Totals         []byte            `json:"totals,omitempty"` // ipc.Stats by slot, little endian; of another size: of another version
}

// SlotHistory is that of one slot.
type SlotHistory struct {
	Restarts int    `json:"restarts,omitempty"`
	Unasked  bool   `json:"unasked,omitempty"`
	LastExit string `json:"last_exit,omitempty"`
}

// readState reads a whole.
func readState(blob []byte) (s State, err error) {
	if err = json.Unmarshal(blob, &s); err != nil {
		return s, fmt.Errorf("cannot read the record of the last master: %w", err)
	}
	if s.Version != Version {
		return s, fmt.Errorf("cannot read the record of the last master: its version is %d, %d is known", s.Version, Version)
	}
	s.Date()
	return s, nil
}

// Date notes for each app when it was like this, unless that is noted: those of the whole and of each patch are of different
// times.
func (s *State) Date() {
	for i := range s.Apps {
		if s.Apps[i].At == 0 {
			s.Apps[i].At = s.At
		}
	}
	for i := range s.Ended {
		if s.Ended[i].At == 0 {
			s.Ended[i].At = s.At
		}
	}
}

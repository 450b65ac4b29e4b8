package api

import (
	"time"
)

// The documents of version 1. Times are RFC 3339 to the millisecond. A number's unit
// is the end of its name: _s seconds, _ms milliseconds, _bytes bytes. A list is never
// null. A reader passes over fields that it does not know.

// Status is what a master runs at one moment.
type Status struct {
	Version string `json:"version"` // of tine
	PID     int    `json:"pid"`     // of the master
	// KeeperPID is that of the keeper above the master, which gets the signals that are meant for it; none: there is none.
	KeeperPID int     `json:"keeper_pid,omitempty"`
	UptimeS   float64 `json:"uptime_s"`
	Name      string  `json:"name"`     // of the master: its socket is named after it
	Steering  string  `json:"steering"` // kind, of the first app that listens; none: no app does
	// Unapplied says that the config on disk is not the one that runs, and in what; absent: it is, as far as is known.
	Unapplied string      `json:"unapplied,omitempty"`
	Apps      []App       `json:"apps"` // in the order of the config
	Cache     CacheStatus `json:"cache"`
	// Unkept says what a crash of the master would lose, as the keeper, or systemd, has no room for its descriptors; none: nothing.
	Unkept string `json:"unkept,omitempty"`
	// Succession is how this master came to be in charge of the workers of one before it; none: it has started all itself.
	Succession *Succession `json:"succession,omitempty"`
}

// Succession is what became of the workers of the master before.
type Succession struct {
	After    int              `json:"after"`    // PID of that master
	Adopted  int              `json:"adopted"`  // workers that went on as they were
	Replaced []ReplacedWorker `json:"replaced"` // those that did not
}

// ReplacedWorker is a worker of the master before that did not go on as it was.
type ReplacedWorker struct {
	App    string `json:"app"`
	Slot   int    `json:"slot"` // -1: it stood by
	Worker uint64 `json:"worker"`
	Reason string `json:"reason"` // why it is replaced, or how it had ended
}

// SteeringNone is the kind of steering of an app without an address: no connection comes.
const SteeringNone = "none"

// The states of an app.
const (
	AppRunning  = "running"  // or starting, or waiting for its next attempt
	AppStopping = "stopping" // its workers are draining
	AppStopped  = "stopped"  // by an order: it has no worker until the next start
	AppFinished = "finished" // all its workers exited 0 unasked
	AppGaveUp   = "gave up"  // it never became ready, and is not tried again by itself
	AppWaiting  = "waiting"  // it is not started yet, for those that it depends on are not what it needs, or its time has not come
)

// App is one program under supervision.
type App struct {
	Name       string   `json:"name"`
	Namespace  string   `json:"namespace,omitempty"`
	State      string   `json:"state"`      // running, stopping, stopped, finished, gave up, waiting
	Generation int      `json:"generation"` // of the last completed rollout
	Desired    int      `json:"desired"`    // workers that there should be
	Ready      int      `json:"ready"`      // workers that are ready
	Listen     []string `json:"listen"`     // addresses, with the real port where the config says 0
	// Unreachable are those of the addresses where a client would not reach this app, whatever its workers say; absent: none.
	Unreachable   []Unreachable `json:"unreachable,omitempty"`
	Steering      string        `json:"steering"`          // kind: ebpf, cbpf, hash, shared; none: it has no address
	Policy        string        `json:"policy"`            // least, round-robin, random, hash, client-ip, cpu
	SteeringNotes []string      `json:"steering_notes"`    // what steering does instead of the policy, and why
	Refused       uint64        `json:"refused"`           // connections refused because all slots were full
	Rollout       *Rollout      `json:"rollout"`           // the one under way, else the last if it was aborted, else null
	Workers       []Worker      `json:"workers"`           // by slot; in a surge a slot has two
	Standbys      []Worker      `json:"standbys"`          // started, without a slot yet
	RestartsTotal uint64        `json:"restarts_total"`    // unasked ends that were followed by a new worker, since the app was started
	CrashesTotal  uint64        `json:"crashes_total"`     // unasked ends with a code other than 0 or by a signal
	OneShot       bool          `json:"oneshot,omitempty"` // it does its work and ends, and is never ready
	Paused        *Pause        `json:"paused,omitempty"`  // gateways hold the requests to it; absent: they do not
	// NextRun is when its schedule replaces its workers or runs it again, in the zone of the schedule; none: it has none.
	NextRun *time.Time `json:"next_run,omitempty"`
	// Failed: it gave up, or is not started because what it depends on has failed. Do not wait for it to become ready.
	Failed   bool     `json:"failed,omitempty"`
	Error    string   `json:"error,omitempty"`    // why it gave up or could not be started, or what it waits for
	Release  *Release `json:"release,omitempty"`  // what its workers are started from; absent: none was yet
	Previous *Release `json:"previous,omitempty"` // the one before, which a rollback returns to; absent: none is remembered
}

// Release is what workers are started from: a crash, a scale or another master start the same again, whatever is on disk by
// then.
type Release struct {
	Generation int        `json:"generation,omitempty"` // that has it; of the one before: none
	Program    string     `json:"program"`              // with no symlink left in it
	Folder     string     `json:"folder"`               // likewise: the working folder
	Since      time.Time  `json:"since"`                // when it was taken
	Until      *time.Time `json:"until,omitempty"`      // of the one before: when it was replaced
	Rollback   bool       `json:"rollback,omitempty"`   // it was taken by a rollback
	Unpinned   []string   `json:"unpinned"`             // what is read from disk all the same, in words
}

// Unreachable is an address of an app that clients do not reach.
type Unreachable struct {
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// The states of a rollout.
const (
	RolloutRunning = "running"
	RolloutAborted = "aborted"
)

// Rollout is the replacement of an app's workers, one slot at a time.
type Rollout struct {
	ID     int    `json:"id"`     // the generation that its workers have
	Reason string `json:"reason"` // such as SIGUSR2, or what the order said
	Done   int    `json:"done"`   // slots that have their new worker
	Total  int    `json:"total"`  // slots
	State  string `json:"state"`  // running, aborted
	Queued bool   `json:"queued"` // one more follows
	Error  string `json:"error"`  // why it was aborted; else empty
}

// Worker is one process.
type Worker struct {
	Slot        int     `json:"slot"`  // from 0; -1: a standby
	ID          uint64  `json:"id"`    // never used twice by one master
	PID         int     `json:"pid"`   // 0: not there yet
	State       string  `json:"state"` // starting, ready, draining, killing, gone; of a slot without a worker, whose id is 0: backoff, drained, vacant, finished
	Generation  int     `json:"generation"`
	Restarts    int     `json:"restarts"` // of the slot
	UptimeS     float64 `json:"uptime_s"`
	RSSBytes    int64   `json:"rss_bytes"`
	CPUPercent  float64 `json:"cpu_percent"` // of one CPU, since it was asked for before; 0 at the first time
	InFlight    int     `json:"in_flight"`   // requests
	Connections int     `json:"connections"`
	Requests    uint64  `json:"requests"`          // answered in this slot since the app was started: goes on over its workers
	Errors      uint64  `json:"errors"`            // of those, with 500 and above
	P50MS       float64 `json:"p50_ms"`            // of the requests of about the last minute
	P99MS       float64 `json:"p99_ms"`            // likewise
	OldestMS    float64 `json:"oldest_ms"`         // age of the oldest request in flight; 0: none
	Epoch       uint64  `json:"epoch"`             // of the cached values that it has
	Stalled     string  `json:"stalled,omitempty"` // how it was seen that it hangs
	Unkept      bool    `json:"unkept,omitempty"`  // a crash of the master would lose it: see Status
	LastExit    string  `json:"last_exit"`         // of the slot's worker before it, such as "exit 1" or "SIGSEGV"; empty: none
}

// CacheStatus tells of all cached values, not their contents.
type CacheStatus struct {
	Epoch  uint64       `json:"epoch"`
	Values []CacheValue `json:"values"` // by key
}

// CacheValue tells of one cached value.
type CacheValue struct {
	Key    string  `json:"key"`
	Epoch  uint64  `json:"epoch"` // of its last change; 0: it has no value yet
	Bytes  int     `json:"bytes"`
	AgeS   float64 `json:"age_s"`  // since it changed
	Source string  `json:"source"` // such as exec, or who set it
	Error  string  `json:"error"`  // why it was not confirmed at the last attempt; else empty
}

// Event is one thing that happened. Its ids grow by one each within a master.
type Event struct {
	ID         uint64    `json:"id"` // from 1
	Time       time.Time `json:"time"`
	Level      string    `json:"level"` // debug, info, warn, error
	Kind       string    `json:"kind"`  // a word of the pool, such as ready or exited, or an Event... constant
	App        string    `json:"app,omitempty"`
	Slot       *int      `json:"slot,omitempty"`
	Worker     uint64    `json:"worker,omitempty"`
	PID        int       `json:"pid,omitempty"`
	Generation int       `json:"generation,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"` // for people
	TookMS     float64   `json:"took_ms,omitempty"`
	DelayMS    float64   `json:"delay_ms,omitempty"` // until the next attempt
	Code       int       `json:"code,omitempty"`     // of an exit
	Signal     string    `json:"signal,omitempty"`   // of an exit, such as SIGSEGV
	LastWords  string    `json:"last_words,omitempty"`
	Failures   int       `json:"failures,omitempty"` // in a row
	// Missed stands for that many events before this one that this reader was too
	// slow for, or that are so old that they are no longer kept.
	Missed uint64 `json:"missed,omitempty"`
}

// Kinds of events that are not among the words of the pool's records
// (ready, exited, rollout begin, ...), which are kinds as they are.
const (
	EventValueSet        = "value set"
	EventValueDeleted    = "value deleted"
	EventValueFailed     = "value failed"
	EventConfigApplied   = "config applied"
	EventConfigRefused   = "config refused"
	EventConfigUnapplied = "config unapplied" // what is on disk is not what runs
	EventAppEnded        = "app ended"
	EventSteeringFell    = "steering fell"
	EventMended          = "mended" // a socket or the scoreboard was broken, and was made anew
	EventStopping        = "stopping"
	EventSignalled       = "signalled"
	EventNotKept         = "not kept"       // a crash of the master would lose something
	EventKept            = "kept"           // it would not any more
	EventKeeperEnded     = "keeper ended"   // a master that crashes now is not brought back
	EventUpgraded        = "upgraded"       // PID is the new master's
	EventUpgradeFailed   = "upgrade failed" // everything runs on as it was
	EventUnreachable     = "unreachable"    // clients do not reach an address: Reason
	EventReachable       = "reachable"      // they do again
	EventMissed          = "missed"         // only Missed, and the id of the last event that was missed
)

// The streams of a LogLine.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
	StreamMaster = "master" // what tine itself says
	StreamHook   = "hook"   // what an app's hooks print
)

// LogLine is one line of output. Its ids grow within a master, over all apps.
type LogLine struct {
	ID     uint64    `json:"id"` // from 1
	Time   time.Time `json:"time"`
	App    string    `json:"app,omitempty"` // absent: of the master itself
	Slot   *int      `json:"slot,omitempty"`
	Worker uint64    `json:"worker,omitempty"`
	PID    int       `json:"pid,omitempty"`
	Stream string    `json:"stream"`          // stdout, stderr, master, hook
	Level  string    `json:"level,omitempty"` // where it is known
	Text   string    `json:"text"`            // without the newline; bytes that are not UTF-8 are U+FFFD
	// Partial: it is a piece of a line of more than 64 KiB, which goes on in the next line of the same worker and stream.
	Partial bool `json:"partial,omitempty"`
	// Missed stands for that many lines before this one that this reader was too slow
	// for. A line that only tells so has no text.
	Missed uint64 `json:"missed,omitempty"`
}

// LogQuery chooses lines. Its zero value chooses all that are kept.
type LogQuery struct {
	App    string    // "": all apps, and the master
	Slot   *int      // nil: all
	Stream string    // "": all
	Last   int       // the newest so many of those that fit; 0: no bound; negative: none
	Since  time.Time // zero: no bound
	Grep   string    // RE2, over the text; "": all
	Follow bool      // go on with what comes, until the context ends
	After  uint64    // only lines with a greater id: to resume
}

// The verbs of an Order.
const (
	VerbStart    = "start"    // an app that is stopped, or has given up; or a slot that was drained
	VerbStop     = "stop"     // all workers of an app, which stays listed
	VerbRestart  = "restart"  // stop, then start: with a gap, unlike reload; of an app or of one slot
	VerbReload   = "reload"   // a rollout, with what is on disk now
	VerbRollback = "rollback" // a rollout, to the release before
	VerbScale    = "scale"    // to N workers, or by N
	VerbDrain    = "drain"    // takes the worker out of one slot, and leaves the slot empty until a start
	VerbPause    = "pause"    // gateways hold the requests to an app, for ForMS or until a resume
	VerbResume   = "resume"   // they pass them on again
	VerbSignal   = "signal"   // sends a signal to one slot's worker, or to all of an app
	// VerbShutdown ends tine itself, gracefully, or at once with Now. It is not for
	// one app: POST /v1/stop.
	VerbShutdown = "shutdown"
	// VerbUpgrade replaces tine itself by another binary, with all workers as they are:
	// POST /v1/upgrade.
	VerbUpgrade = "upgrade"
)

// What an order does while another one of its kind is under way.
const (
	IfRunningQueue  = "queue"  // waits for it, then does its own: the default
	IfRunningRefuse = "refuse" // is refused with 409
)

// MaxReason bounds the reason of an order, in bytes: it becomes part of events.
const MaxReason = 200

// Order is something to do. Verb and App are in the path of a request, the rest is
// its body.
type Order struct {
	Verb      string  `json:"-"`
	App       string  `json:"-"`                    // "": all
	Slot      *int    `json:"slot,omitempty"`       // restart, start, drain, signal: only this one
	N         int     `json:"n,omitempty"`          // scale: workers, at least 0
	By        bool    `json:"by,omitempty"`         // scale: N is added to what there is, and may be negative
	Signal    string  `json:"signal,omitempty"`     // signal: such as SIGHUP or HUP
	ForMS     float64 `json:"for_ms,omitempty"`     // pause: for so long; 0: until a resume
	Now       bool    `json:"now,omitempty"`        // stop, restart, shutdown: kill instead of drain
	Binary    string  `json:"binary,omitempty"`     // upgrade: an absolute path; "": that of the program that runs, as it is on disk now
	Reason    string  `json:"reason,omitempty"`     // for the events; at most 200 bytes
	IfRunning string  `json:"if_running,omitempty"` // reload: queue (default) or refuse
}

// Progress is one step of an order. The last one has Final.
type Progress struct {
	Time    time.Time `json:"time"`
	App     string    `json:"app,omitempty"`
	Slot    *int      `json:"slot,omitempty"`
	Worker  uint64    `json:"worker,omitempty"`
	PID     int       `json:"pid,omitempty"`
	State   string    `json:"state,omitempty"`   // of the worker or the order: a word, such as starting
	Message string    `json:"message,omitempty"` // for people
	Done    int       `json:"done"`
	Total   int       `json:"total"`
	Final   bool      `json:"final"`
	OK      bool      `json:"ok"`               // only when final
	Error   string    `json:"error,omitempty"`  // only when final and not OK
	Output  string    `json:"output,omitempty"` // last lines of the worker that failed
}

// ApplyRequest is how the config is read again.
type ApplyRequest struct {
	Dry bool // say what would change, and change nothing
}

// The effects of a Change.
const (
	EffectAtOnce  = "at once"
	EffectRollout = "rollout"
	EffectRestart = "restart of tine"
	EffectStart   = "start"
	EffectStop    = "stop"
)

// ApplyResult is the difference between the config that runs and the one on disk.
type ApplyResult struct {
	Changes []Change `json:"changes"`
	Applied bool     `json:"applied"`
}

// Change is one difference.
type Change struct {
	Path   string `json:"path"`   // such as apps.web.workers
	Old    string `json:"old"`    // empty: was not there
	New    string `json:"new"`    // empty: is there no more
	Effect string `json:"effect"` // at once, rollout, restart of tine, start, stop
}

// Milliseconds is a duration as events and log lines have it: in milliseconds, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

package pool

import "time"

// An Effect is an order to the shell. Those of one Step are carried out in their order.
type Effect interface{ effect() }

type (
	// Spawn orders a process for a slot. The answer is Spawned or SpawnFailed with the same ID.
	Spawn struct {
		ID         WorkerID
		Slot       int
		Generation int // which resolved command, folder and environment to use
	}
	// Drain asks a ready worker to finish what is in flight and exit.
	Drain struct {
		ID       WorkerID
		Slot     int
		Reason   string
		Handover bool // a successor accepts on the slot's sockets, so stop accepting at once
		// Linger: the slot's sockets will be closed, so accept for all of Delay what was on its way to them, and empty
		// their queues. Exit code 0 says that this was done; after any other end another worker is spawned to do it.
		Linger bool
		// What the worker may take: it goes on accepting for Delay if there is no successor, then has Timeout to finish.
		Delay, Timeout time.Duration
	}
	// Signal sends SIGTERM, or SIGKILL if Kill, to the worker's process group.
	Signal struct {
		ID     WorkerID
		Kill   bool
		Reason string
	}
	// OpenSlot makes the sockets of the next slot: always the one after the last.
	OpenSlot struct{ Slot int }
	// Steer lets only slots < Slots get new connections. 0 when the app is scaled to nothing.
	Steer struct{ Slots int }
	// RetireSlot closes the sockets of the last slot, which no worker uses any more. One that was told to Linger
	// has emptied their queues, if it could: what waits there all the same is lost. See "Slots that go".
	RetireSlot struct{ Slot int }
	// Resolve has the command, folder and environment looked up anew for a generation. It precedes the first Spawn of
	// that generation. Generation 1 is resolved before Start, without being asked. If it fails, the shell answers the
	// Spawns of the generation with SpawnFailed.
	Resolve struct {
		Generation int
		Reason     string
	}
	// Record is one line of log: see Kind.
	Record struct {
		Kind       Kind
		ID         WorkerID // 0: not about a worker
		Slot       int      // -1: not about a slot
		PID        int
		State      State // of the worker when it happened, before what happened changed it
		Reason     string
		Generation int
		Took       time.Duration // how long what ended here has taken
		Delay      time.Duration // until the slot is tried again
		Failures   int           // of the slot, in a row
		Code       int           // of the exit
		Signal     int
		Slots      int // wanted, for KindScaled
	}
	// Done is the last effect of the last Step, given exactly once: no worker is left.
	Done struct {
		Code   int
		Reason string
	}
)

// Exit codes of Done.
const (
	CodeStopped = 0
	CodeGaveUp  = 70
)

func (Spawn) effect()      {}
func (Drain) effect()      {}
func (Signal) effect()     {}
func (OpenSlot) effect()   {}
func (Steer) effect()      {}
func (RetireSlot) effect() {}
func (Resolve) effect()    {}
func (Record) effect()     {}
func (Done) effect()       {}

// Kind says what a Record reports.
type Kind uint8

const (
	KindNone             Kind = iota
	KindSpawned               // a process exists; Took since it was ordered
	KindSpawnFailed           // there is no process
	KindReady                 // Took since it was ordered
	KindReadyTimeout          // did not become ready in time; Took since it was ordered
	KindDraining              // told to drain, or does so of its own accord; Took: how long it was ready
	KindDrainTimeout          // did not finish in time; Took: how long it drained
	KindTerminating           // a starting worker is not wanted; Took since it was ordered
	KindKilling               // SIGTERM was not enough, or everything stops at once; Took: how long in the state before
	KindAbandoned             // outlived even SIGKILL: treated as gone from here on
	KindExited                // Took: how long in the state it was in
	KindRecycle               // queued for replacement
	KindBackoff               // the slot is tried again after Delay
	KindFinished              // the slot's work is done
	KindScaled                // Slots are wanted from now on
	KindSweeping              // a worker is spawned only to empty the queues of a slot that goes
	KindRetired               // the slot's sockets are closed
	KindRolloutBegin          // Resolve follows
	KindRolloutDone           // Took since it began, the last drain included
	KindRolloutAborted        // Reason: the failure. What is rolled stays
	KindRolloutQueued         // one more will follow, also if the one under way aborts
	KindRolloutDropped        // the queued one will not follow: by a stop
	KindRolloutCancelled      // by a stop
	KindReconfigured          // from here on, for waits that begin
	KindStopping              // Reason: stop, or stop at once
	KindGaveUp                // no worker was ever ready
	KindIgnored               // a command that makes no sense now; Reason
	KindImpossible            // an event that cannot happen: a bug in the shell
)

var kindNames = [...]string{
	KindNone:             "",
	KindSpawned:          "spawned",
	KindSpawnFailed:      "spawn failed",
	KindReady:            "ready",
	KindReadyTimeout:     "ready timeout",
	KindDraining:         "draining",
	KindDrainTimeout:     "drain timeout",
	KindTerminating:      "terminating",
	KindKilling:          "killing",
	KindAbandoned:        "abandoned",
	KindExited:           "exited",
	KindRecycle:          "recycle",
	KindBackoff:          "backoff",
	KindFinished:         "finished",
	KindScaled:           "scaled",
	KindSweeping:         "sweeping",
	KindRetired:          "retired",
	KindRolloutBegin:     "rollout begin",
	KindRolloutDone:      "rollout done",
	KindRolloutAborted:   "rollout aborted",
	KindRolloutQueued:    "rollout queued",
	KindRolloutDropped:   "rollout dropped",
	KindRolloutCancelled: "rollout cancelled",
	KindReconfigured:     "reconfigured",
	KindStopping:         "stopping",
	KindGaveUp:           "gave up",
	KindIgnored:          "ignored",
	KindImpossible:       "impossible",
}

func (k Kind) String() string { return kindNames[k] }

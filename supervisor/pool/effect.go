package pool

import "time"

// An Effect is an order to the shell. Those of one Step are carried out in their order.
type Effect interface{ effect() }

type (
	// Spawn orders a process for a slot, or a standby. The answer is Spawned or SpawnFailed with the same ID.
	Spawn struct {
		ID         WorkerID
		Slot       int // -1: a standby, which is given no slot and no sockets until Assign
		Generation int // which resolved command, folder and environment to use
	}
	// Assign gives a parked standby its slot, once: instead of a Spawn, also as the first one in a slot. The answer is
	// Ready. After Restored it may come again, for the same slot.
	Assign struct {
		ID   WorkerID
		Slot int
	}
	// Dump asks a ready worker what all of it is doing, for the log, because it is stalled or takes too long. Once for each
	// worker. Nothing waits for the answer: the worker is replaced when its turn comes.
	Dump struct {
		ID     WorkerID
		Reason string
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
		// Again: this was ordered before. Delay and Timeout are what is left of them. After Restored the worker may have been
		// told or not; after Hurry it was.
		Again bool
	}
	// Signal sends SIGTERM, or SIGKILL if Kill, to the worker's process group.
	Signal struct {
		ID     WorkerID
		Kill   bool
		Reason string
	}
	// OpenSlot makes the sockets of the next slot: always the one after the last. After Restored it comes for all slots that there
	// are, and one that is open stays as it is.
	OpenSlot struct{ Slot int }
	// Steer lets only these slots get new connections, in ascending order: those that are wanted and have a ready worker
	// that is not stalled; if there is none, those with a ready worker; if none either, all that are wanted; and all that are held
	// if that is none too. Empty when the app is scaled to nothing. At most one in a Step, before its Drains, and none in a stop: all go, so none is better.
	// Of several Steps' orders only the last matters, but it must be carried out before a Drain that follows it.
	Steer struct{ Slots []int }
	// RetireSlot closes the sockets of the last slot, which no worker uses any more. One that was told to Linger
	// has emptied their queues, if it could: what waits there all the same is lost. See "Slots that go".
	RetireSlot struct{ Slot int }
	// Resolve has the command, folder and environment looked up anew for a generation. It precedes the first Spawn of
	// that generation. Generation 1 is resolved before Start, without being asked. If it fails, the shell answers the
	// Spawns of the generation with SpawnFailed. After Restored it comes for all that a Spawn may name, and what is resolved
	// already stays as it is.
	//
	// Back: nothing is looked up, but taken from the release before.
	Resolve struct {
		Generation int
		Reason     string
		Back       bool
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

// CodeUnknown is the code of an Exited whose status is not known.
const CodeUnknown = -1

func (Spawn) effect()      {}
func (Assign) effect()     {}
func (Dump) effect()       {}
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
	KindParked                // a standby is initialised; Took since it was ordered
	KindAssigned              // a standby gets its slot; Took: how long it stood by
	KindReady                 // Took since it was ordered, or assigned
	KindReadyTimeout          // did not become ready, or did not park, in time; Took since it was ordered, or assigned
	KindStalled               // Reason: how that was seen
	KindResumed               // Took: how long it was stalled
	KindDraining              // told to drain, or does so of its own accord; Took: how long it was ready
	KindDrainTimeout          // did not finish in time; Took: how long it drained
	KindTerminating           // a starting worker or a standby is not wanted; Took: how long it was that
	KindKilling               // SIGTERM was not enough, or everything stops at once; Took: how long in the state before
	KindAbandoned             // outlived even SIGKILL, or was never spawned (then Took since it was ordered): treated as gone from here on
	KindExited                // Took: how long in the state it was in
	KindRecycle               // queued for replacement
	KindBackoff               // the slot, or a standby, is tried again after Delay
	KindFinished              // the slot's work is done
	KindHeld                  // the slot gets no worker until it is released; Reason
	KindReleased              // it is again as every slot
	KindRequestsHeld          // gateways hold requests to the app; for Delay, 0: without an end; Reason
	KindRequestsPassed        // they do not any more; Took: how long they did; Reason
	KindScaled                // Slots are wanted from now on
	KindSweeping              // a worker is got only to empty the queues of a slot that goes
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
	KindRestored              // another master has come, and goes on in the phase that Reason names; Slots are wanted
	KindForgotten             // a Spawn that the master before ordered, and that was never answered; Took since then
	KindImpossible            // an event that cannot happen: a bug in the shell
)

var kindNames = [...]string{
	KindNone:             "",
	KindSpawned:          "spawned",
	KindSpawnFailed:      "spawn failed",
	KindParked:           "parked",
	KindAssigned:         "assigned",
	KindReady:            "ready",
	KindReadyTimeout:     "ready timeout",
	KindStalled:          "stalled",
	KindResumed:          "resumed",
	KindDraining:         "draining",
	KindDrainTimeout:     "drain timeout",
	KindTerminating:      "terminating",
	KindKilling:          "killing",
	KindAbandoned:        "abandoned",
	KindExited:           "exited",
	KindRecycle:          "recycle",
	KindBackoff:          "backoff",
	KindFinished:         "finished",
	KindHeld:             "held",
	KindReleased:         "released",
	KindRequestsHeld:     "requests paused",
	KindRequestsPassed:   "requests resumed",
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
	KindRestored:         "restored",
	KindForgotten:        "forgotten",
	KindImpossible:       "impossible",
}

func (k Kind) String() string { return kindNames[k] }

package pool

import "time"

// WorkerID names one process incarnation for ever. It only grows, also across the workers of all slots; PIDs are
// shown to people and never used to match.
type WorkerID uint64

// An Event is a fact that the shell observed, or a command that was given.
//
// The facts of one worker arrive in order: Spawned, Parked, Ready, Exited, or SpawnFailed alone. Parked, Ready, Leaving,
// Stalled, Resumed and Recycle come from the worker's channel or from watching it, and may also be late, after the worker was
// told to go or is gone.
type Event interface{ event() }

// Facts about a worker.
type (
	// Spawned: the process exists.
	Spawned struct {
		ID  WorkerID
		PID int
	}
	// SpawnFailed: there never was a process.
	SpawnFailed struct {
		ID  WorkerID
		Err string
	}
	// Ready: the worker accepts connections.
	Ready struct{ ID WorkerID }
	// Parked: the worker is initialised and waits for a slot. One that has its slot may say so too, when it asked before the
	// answer came.
	Parked struct{ ID WorkerID }
	// Stalled: the worker does not get on with what it was given; Reason says how that was seen.
	Stalled struct {
		ID     WorkerID
		Reason string
	}
	// Resumed: it does again.
	Resumed struct{ ID WorkerID }
	// Leaving: the worker drains of its own accord, for example because a person sent it SIGTERM.
	Leaving struct {
		ID     WorkerID
		Reason string
	}
	// Exited: the process runs nothing any more: it has ended and is reaped, or SIGKILL has ended it and the system is about to
	// take apart what is left. Signal is 0 if it ended by itself; SignalName is what people call it, for reasons, which name
	// its number if there is none. Code is CodeUnknown if it is not known how it ended: that is a failure.
	Exited struct {
		ID           WorkerID
		Code, Signal int
		SignalName   string
	}
	// Recycle: the worker shall be replaced when its turn comes, for example because its channel broke. With Dump, one
	// that is ready shall say before that what it is doing.
	Recycle struct {
		ID     WorkerID
		Reason string
		Dump   bool
	}
	// Paused: neither the shell nor, as far as it can tell, the workers have run for so long until now, as the machine or the
	// container was stopped. It comes before the events that have waited meanwhile.
	Paused struct{ For time.Duration }
)

// Commands.
type (
	// Start opens the slots and spawns all workers. Once, first.
	Start struct{}
	// Restored has a pool that Restore made look at what it was told since, order what there is to order, and say again what may
	// not have been carried out: see "Restored". Once, after the facts, which until then are only noted, and before any command.
	Restored struct{}
	// Scale sets the number of slots wanted; it is clamped to 0..MaxSlots. It releases those of them that are held.
	Scale struct{ N int }
	// Roll replaces all workers by ones of a new generation. During a rollout, any number of them queue one more. It releases
	// the slots that are held. Back: the generation is of the release before, not of what is on disk; of several that are queued the
	// last says which.
	Roll struct {
		Reason string
		Back   bool
	}
	// Hold takes the worker of a wanted slot away, without loss, and gives the slot no other until it is released. Its sockets
	// stay, swept, and get no new connection as long as another slot is wanted.
	Hold struct {
		Slot   int
		Reason string
	}
	// Release ends a Hold: of all slots if Slot is -1.
	Release struct{ Slot int }
	// HoldRequests has gateways hold the requests to the app until PassRequests, or for so long: For 0 has no end. What is in flight goes
	// on. One that comes while they are held changes the end.
	HoldRequests struct {
		For    time.Duration
		Reason string
	}
	// PassRequests ends it.
	PassRequests struct{ Reason string }
	// Reconfigure replaces the configuration, but for FirstID, FirstGeneration and Seed. Waits that already run keep their length; MaxAge
	// and StallTimeout, which are no waits for an answer, count anew for those who are ready.
	Reconfigure struct{ Config Config }
	// Hurry says that the app will be ended from outside, Within from now: a stop that is under way, or begins later, is over
	// before, as far as Config.Within can bring that about. Of several the earliest counts. Nothing else is any faster for it.
	Hurry struct{ Within time.Duration }
	// Stop drains and ends everything. A second one is Kill. Reason is what the records say of it; empty: stop.
	Stop struct{ Reason string }
	// Kill ends everything at once. Reason is what the records say of it; empty: stop at once.
	Kill struct{ Reason string }
	// Tick says what time it is: due at Deadline.
	Tick struct{}
)

// commands: what is wanted, not a fact about a worker.
func commands(ev Event) bool {
	switch ev.(type) {
	case Start, Scale, Roll, Hold, Release, HoldRequests, PassRequests, Reconfigure, Hurry, Stop, Kill:
		return true
	}
	return false
}

func (Spawned) event()      {}
func (SpawnFailed) event()  {}
func (Ready) event()        {}
func (Parked) event()       {}
func (Stalled) event()      {}
func (Resumed) event()      {}
func (Leaving) event()      {}
func (Exited) event()       {}
func (Recycle) event()      {}
func (Paused) event()       {}
func (Start) event()        {}
func (Restored) event()     {}
func (Scale) event()        {}
func (Roll) event()         {}
func (Hold) event()         {}
func (Release) event()      {}
func (HoldRequests) event() {}
func (PassRequests) event() {}
func (Reconfigure) event()  {}
func (Hurry) event()        {}
func (Stop) event()         {}
func (Kill) event()         {}
func (Tick) event()         {}

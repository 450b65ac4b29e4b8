package orders

import (
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// An Effect is an order to the shell. Those of one Step are carried out in their order. The facts that one of them brings about
// may be given to Step at once, before the next effect is carried out.
type Effect interface{ effect() }

// What is done to apps.
type (
	// Do gives the core of the apps an event: StartNeeds, NextRun, NoNextRun or StopForNext.
	Do struct{ Event apps.Event }

	// Stop ends a run by an order: it is told with the reason, and given to the core of the apps as StopApp.
	Stop struct {
		App    apps.ID
		Now    bool
		Reason string
	}

	// Pool gives the pool of a run an event: Roll, Scale, Hold or Release. A Roll with Back is to the release that
	// Apps.Releases has told of.
	Pool struct {
		App   apps.ID
		Event pool.Event
	}

	// Kill sends SIGKILL to the workers in a slot.
	Kill struct {
		App  apps.ID
		Slot int
	}

	// Send sends a signal to the workers of a slot, or to all of a run. The answer is Signalled.
	Send struct {
		Order  ID
		App    apps.ID
		Slot   *int // nil: all
		Signal int
		Reason string // of the caller; it may be empty
	}

	// Open prepares the next run of an app: on the sockets of the run before with Keep, else on new ones. The answer is Opened
	// or OpenFailed.
	Open struct {
		Order ID
		App   apps.ID
		Keep  bool
	}

	// Hold holds the sockets that a prepared run shares with the run before, which is about to end. Exchange or Close ends it.
	Hold struct{ Order ID }

	// Exchange puts the prepared run of an order in the place of the one that has ended, and starts it.
	Exchange struct {
		Order ID
		App   apps.ID
	}

	// Close gives up what was prepared for an order.
	Close struct{ Order ID }

	// Blame remembers why the next run of an app was not started, for its status.
	Blame struct {
		App apps.ID
		Err error
	}
)

// What a caller hears of its request. Progress may precede Begun; Result follows it.
type (
	// Refused: nothing was begun. It is the only answer.
	Refused struct {
		Request Request
		Err     error // mostly an *api.Refusal
	}

	// Begun: so many orders were, and so many Results follow.
	Begun struct {
		Request Request
		Parts   int
	}

	// Progress is a step on the way. It may be dropped where there is no room for it.
	Progress struct {
		Request  Request
		Progress api.Progress
	}

	// Result is the end of one order: each has exactly one.
	Result struct {
		Request Request
		Part    int // from 0, in the order of the apps
		Err     error
	}

	// Warn is the end of one of the master's own orders that failed: a line of log.
	Warn struct {
		App, Verb, Reason string
		Err               error
	}
)

func (Do) effect()       {}
func (Stop) effect()     {}
func (Pool) effect()     {}
func (Kill) effect()     {}
func (Send) effect()     {}
func (Open) effect()     {}
func (Hold) effect()     {}
func (Exchange) effect() {}
func (Close) effect()    {}
func (Blame) effect()    {}
func (Refused) effect()  {}
func (Begun) effect()    {}
func (Progress) effect() {}
func (Result) effect()   {}
func (Warn) effect()     {}

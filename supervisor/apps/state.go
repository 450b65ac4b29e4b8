package apps

// State is where a run of an app is. Each event is handled in each state: see the table in table_test.go.
type State uint8

const (
	Unknown  State = iota // the zero value: there is no such run
	Waiting               // for the apps that it needs, which may come
	Blocked               // likewise, in vain: one of them will not come by itself
	Running               // its pool keeps workers
	Ending                // its pool ends by itself: it gives up, has finished, or is left out at the start
	Leaving               // it is to stop, and is told so when no running app needs it any more
	Stopping              // its pool was told to stop
	Killing               // its pool was told to kill
	Later                 // it was left out at the start, and its first time is still to come
	Finished              // it has ended by itself with code 0
	Failed                // it has ended by itself with another code
	Stopped               // it has ended by an order, and stays listed
	Gone                  // it has ended for good: by a config, a successor or the end of the master. It is not listed
)

// States is how many there are.
const States = int(Gone) + 1

var stateNames = [States]string{"unknown", "waiting", "blocked", "running", "ending", "leaving", "stopping", "killing", "later", "finished", "failed", "stopped", "gone"}

func (s State) String() string { return stateNames[s] }

// Ended says whether a run in this state has no pool any more.
func (s State) Ended() bool { return s >= Later }

// Why says for what a run leaves, or has left.
type Why uint8

const (
	Stays       Why = iota // it does not leave
	NotAtStart             // the start of the master leaves it out
	ByStop                 // an order stops it
	ByRestart              // an order stops it, to start it again
	ByRemoval              // a config does not have it any more
	BySuccessor            // another run serves on its sockets
	ByMaster               // the master stops
)

// Phase is where the master is. It only goes on.
type Phase uint8

const (
	Unborn      Phase = iota // before Begin or Restore
	Working                  // runs start and end as they are
	Delaying                 // a stop was ordered, and the drains have not begun
	StoppingAll              // all runs are to stop
	KillingAll               // all runs are to end at once
	Over                     // Done was given
)

var phaseNames = [...]string{"unborn", "working", "delaying", "stopping", "killing", "over"}

func (p Phase) String() string { return phaseNames[p] }

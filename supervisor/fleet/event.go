package fleet

import "github.com/tinehq/tine/ipc/members"

// Event is something that has happened.
type Event interface{ event() }

type (
	// Listed is the complete list of a source, which replaces the one before. Members have IDs and pass members.Member.Check;
	// their Report is taken in as by Reported.
	Listed struct {
		Source  string
		Members []members.Member
	}
	// Resumed is the table that an earlier fleet has left, before anything else. What persons have drained stays drained. With Checked,
	// which says that members are checked, one that was down stays down until its checks pass, if its source lists it as ready.
	Resumed struct {
		Table   members.Table
		Checked bool
	}
	// Silent: a source cannot be read now. What it has listed stays.
	Silent struct{ Source, Why string }
	// Reported is what a member has said of itself. One that is in no list is not known, and its report is dropped.
	Reported struct {
		ID     string
		Report members.Report
	}
	// Checked is how an active check went. Why tells what was wrong.
	Checked struct {
		ID  string
		OK  bool
		Why string
	}
	// Advised is what the agent of a member says of it. What it does not say stays as it was said last.
	Advised struct {
		ID          string
		Weight      *float64      // 0 or more; times the weight that its source gives
		MaxInFlight *int          // in place of what its source gives; 0: there is no bound
		Mode        members.State // what its operator wants: Ready, Draining, or Down for maintenance; "": not said
		Health      members.State // how it is: Ready or Down; "": not said
		Why         string        // of Draining or Down
	}
	// Outcome is how requests to a member went since the last Outcome of that gateway: Failed of them have failed in a row, after
	// Answered were answered. Why is of the newest that has failed.
	Outcome struct {
		ID               string
		Answered, Failed int
		Why              string
	}
	// Drain: a person wants no new request to go to a member, or, with Undo, wants them to again. It is remembered for a member
	// that is not there.
	Drain struct {
		ID, Reason string
		Undo       bool
	}
	// Tick is the time of Deadline.
	Tick struct{}
)

func (Listed) event()   {}
func (Resumed) event()  {}
func (Silent) event()   {}
func (Reported) event() {}
func (Checked) event()  {}
func (Advised) event()  {}
func (Outcome) event()  {}
func (Drain) event()    {}
func (Tick) event()     {}

// Effect is something that is to be done.
type Effect interface{ effect() }

type (
	// Publish makes Table the one that gateways pick from. It shares nothing that changes.
	Publish struct{ Table members.Table }
	// Record is for the log and the events.
	Record struct {
		Kind   Kind
		ID     string // of the member; "": it is about a source or a type
		Source string // or the type, of KindPanic and KindCalm
		Reason string
	}
)

func (Publish) effect() {}
func (Record) effect()  {}

// Kind is what a Record tells.
type Kind uint8

// The kinds.
const (
	KindJoined    Kind = iota // a source lists a member
	KindLeft                  // no source lists it any more
	KindTwice                 // it is listed twice
	KindSilent                // a source cannot be read
	KindHeard                 // it can be read again
	KindStale                 // a member does not report any more: it is unknown
	KindDown                  // checks of a member fail
	KindUp                    // they pass again
	KindEjected               // it has failed too often
	KindSpared                // it has, and is the last of its type
	KindReturned              // an ejection is over
	KindPanic                 // too few of a type are left: its ejections do not count
	KindCalm                  // they count again
	KindDrained               // a person has drained it
	KindUndrained             // and has taken that back
	KindAdvised               // the agent of a member has said something new
)

var kinds = [...]string{"joined", "left", "twice", "silent", "heard", "stale", "down", "up", "ejected", "spared", "returned", "panic", "calm", "drained", "undrained", "advised"}

func (k Kind) String() string { return kinds[k] }

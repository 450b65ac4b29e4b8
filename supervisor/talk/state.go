package talk

// State is that of the conversation with one worker. The zero State is of a worker that was just started.
type State struct {
	Channel Channel
	Life    Life
	Place   Place
}

// Channel is what has been said on the worker's newest channel.
type Channel uint8

const (
	Silent     Channel = iota // neither side has said anything that counts
	Introduced                // the master has sent the values
	Hailed                    // the worker has said hello
	Talking                   // both: the worker may send what it likes
)

// Life is how far the worker has come.
type Life uint8

const (
	Starting  Life = iota
	Ready          // it said so
	Quitting       // it drains, and was never ready
	Draining       // it drains, and was ready. It was told to, or does so of its own accord
	LeftEarly      // it said bye, and was never ready
	Left           // it said bye, and was ready
	Gone           // it has ended
)

// Place is whether the worker has been given a slot.
type Place uint8

const (
	Unplaced Place = iota
	Delayed        // the master has no descriptors for its sockets, and tries again
	Placed
)

// Event is what changes a State.
type Event uint8

const (
	HelloHeard Event = iota // the worker has said hello
	ValuesSent              // the master has sent all values
	ChannelEnded
	ChannelRenewed // the worker has another channel
	ReadyHeard     // the worker is ready
	DrainBegun     // the worker drains
	ByeHeard       // the worker has said bye
	ExitSeen       // the worker has ended
	SlotGiven      // the worker has been sent its slot
	SlotDelayed    // it could not be, and that is tried again
	SlotLost       // it was not, or that has not reached the worker
	events
)

// channels, lives and places have what an event makes of each state. A row that is not there changes nothing.
var (
	channels = map[Event][4]Channel{
		//              Silent      Introduced  Hailed   Talking
		HelloHeard:     {Hailed, Talking, Hailed, Talking},
		ValuesSent:     {Introduced, Introduced, Talking, Talking},
		ChannelEnded:   {Silent, Silent, Hailed, Hailed},
		ChannelRenewed: {Silent, Silent, Silent, Silent},
	}
	lives = map[Event][7]Life{
		//          Starting   Ready     Quitting   Draining  LeftEarly  Left  Gone
		ReadyHeard: {Ready, Ready, Draining, Draining, Left, Left, Gone},
		DrainBegun: {Quitting, Draining, Quitting, Draining, LeftEarly, Left, Gone},
		ByeHeard:   {LeftEarly, Left, LeftEarly, Left, LeftEarly, Left, Gone},
		ExitSeen:   {Gone, Gone, Gone, Gone, Gone, Gone, Gone},
	}
	places = map[Event][3]Place{
		//           Unplaced  Delayed  Placed
		SlotGiven:   {Placed, Placed, Placed},
		SlotDelayed: {Delayed, Delayed, Delayed},
		SlotLost:    {Unplaced, Unplaced, Unplaced},
	}
)

// Step takes in an event.
func (s *State) Step(ev Event) {
	if row, ok := channels[ev]; ok {
		s.Channel = row[s.Channel]
	}
	if row, ok := lives[ev]; ok {
		s.Life = row[s.Life]
	}
	if row, ok := places[ev]; ok {
		s.Place = row[s.Place]
	}
}

// Adopted is the State of a worker of the last master, from what the record has of it.
func Adopted(ready, drains, left bool) (s State) {
	if ready {
		s.Step(ReadyHeard)
	}
	if drains {
		s.Step(DrainBegun)
	}
	if left {
		s.Step(ByeHeard)
	}
	return s
}

// Hello reports whether the worker has said hello on its newest channel, open or not.
func (s State) Hello() bool { return s.Channel == Hailed || s.Channel == Talking }

// Subscribed reports whether the worker has the values, so that changes and messages go to it.
func (s State) Subscribed() bool { return s.Channel == Introduced || s.Channel == Talking }

// WasReady reports whether the worker has been ready, whatever it does now.
func (s State) WasReady() bool { return s.Life == Ready || s.Life == Draining || s.Life == Left }

// Serves reports whether the worker is ready, and does not drain.
func (s State) Serves() bool { return s.Life == Ready }

// Drains reports whether the worker drains, or did before it left. A worker that has ended does not.
func (s State) Drains() bool { return s.Life == Quitting || s.Life == Draining || s.HasLeft() }

// HasLeft reports whether the worker has said bye, so that the end of its channel is in order.
func (s State) HasLeft() bool { return s.Life == LeftEarly || s.Life == Left }

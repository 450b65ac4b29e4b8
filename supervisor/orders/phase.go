package orders

import "slices"

// phase is where an order is. It only goes on, along ways.
type phase uint8

const (
	placed     phase = iota // it is looked at, within one Step
	signalling              // the shell sends a signal
	following               // another order brings the next run of the app
	ending                  // the run before has not ended yet
	opening                 // the next run is prepared on sockets of its own
	preparing               // the next run is prepared on the sockets of the one before, which serves on
	replacing               // the next run is prepared, and the one before stops
	starting                // the workers of the run start
	stopping                // the run stops
	queued                  // a rollout is ordered, and has not begun
	rolling                 // it has begun
	scaling                 // workers start, or slots go
	emptying                // the worker of a slot goes
	filling                 // the worker of a slot starts
	done                    // it was done
	failed                  // it was tried
	cancelled               // something else was ordered meanwhile
	overdue                 // it took longer than the times of its app
	refused                 // nothing was begun
)

const phases = int(refused) + 1

var phaseNames = [phases]string{"placed", "signalling", "following", "ending", "opening", "preparing", "replacing", "starting", "stopping",
	"queued", "rolling", "scaling", "emptying", "filling", "done", "failed", "cancelled", "overdue", "refused"}

func (p phase) String() string { return phaseNames[p] }

// over says whether an order in this phase has ended.
func (p phase) over() bool { return p >= done }

// ways are the phases that may follow each. doc.go draws them, and a test compares the two.
var ways = [phases][]phase{
	placed:     {signalling, following, ending, preparing, starting, stopping, queued, scaling, emptying, filling, done, refused},
	signalling: {done, refused}, // at once
	following:  {starting, cancelled, overdue},
	ending:     {opening, cancelled, overdue},
	opening:    {starting, failed, cancelled, overdue},
	preparing:  {replacing, opening, failed, cancelled, overdue},
	replacing:  {starting, cancelled, overdue},
	starting:   {done, failed, cancelled, overdue},
	stopping:   {done, overdue},
	queued:     {rolling, failed, cancelled, overdue},
	rolling:    {done, failed, cancelled, overdue},
	scaling:    {done, failed, cancelled, overdue},
	emptying:   {filling, done, cancelled, overdue},
	filling:    {done, failed, cancelled, overdue},
}

func (b *Book) enter(o *order, next phase) {
	if b.strict && !slices.Contains(ways[o.phase], next) {
		panic("orders: a way from " + o.phase.String() + " to " + next.String() + " that is none")
	}
	if b.went != nil {
		b.went(o.phase, next)
	}
	o.phase = next
}

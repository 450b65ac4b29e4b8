package outcomes

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

// pace is the time between two messages.
const pace = 100 * time.Millisecond

// Outcomes gathers how requests went. Tell and Update may be called by all goroutines at once; Run is called once.
type Outcomes struct {
	send   func([]members.Outcome) error
	wake   chan struct{}
	failed atomic.Int32 // members in failing

	mu      sync.Mutex
	failing map[string]*outcome // of which a failure was told, or is to be, and no answer since
}

type outcome struct {
	members.Outcome
	due bool // it was not told
}

// New makes Outcomes. send tells the master, and does not wait; what it returns an error for is told the next time.
func New(send func([]members.Outcome) error) *Outcomes {
	return &Outcomes{send: send, wake: make(chan struct{}, 1), failing: map[string]*outcome{}}
}

// Tell takes in how one attempt went: see proxy.Options.
func (o *Outcomes) Tell(member string, how gate.Outcome, why string) {
	switch how {
	case gate.Cancelled:
		return
	case gate.Answered:
		if o.failed.Load() == 0 {
			return
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.failing[member]
	if how == gate.Answered {
		if m == nil || m.Answered && m.Failed == 0 {
			return
		}
		m.Answered, m.Failed, m.Why, m.due = true, 0, "", true
	} else {
		if m == nil {
			m = &outcome{Outcome: members.Outcome{ID: member}}
			o.failing[member] = m
			o.failed.Add(1)
		}
		m.Failed, m.Why, m.due = m.Failed+1, why, true
	}
	o.ring()
}

func (o *Outcomes) ring() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Update forgets members that are not in the table.
func (o *Outcomes) Update(t members.Table) {
	if o.failed.Load() == 0 {
		return
	}
	listed := make(map[string]bool, len(t.Members))
	for i := range t.Members {
		listed[t.Members[i].ID] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.failing, func(id string, _ *outcome) bool { return !listed[id] })
	o.failed.Store(int32(len(o.failing)))
}

// Run sends what is told until ctx is done.
func (o *Outcomes) Run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-o.wake:
		case <-ctx.Done():
			return
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		o.flush()
		next.Reset(pace)
	}
}

// flush sends what is due.
func (o *Outcomes) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.wake: // of what is told now
	default:
	}
	var all []members.Outcome
	for _, id := range slices.Sorted(maps.Keys(o.failing)) {
		if m := o.failing[id]; m.due {
			if len(all) == members.MostOutcomes {
				o.ring()
				break
			}
			all = append(all, m.Outcome)
		}
	}
	if len(all) == 0 {
		return
	}
	if o.send(all) != nil {
		o.ring()
		return
	}
	for _, told := range all {
		m := o.failing[told.ID]
		if m.Answered && m.Failed == 0 {
			delete(o.failing, told.ID)
			continue
		}
		m.Answered, m.Failed, m.due = false, 0, false
	}
	o.failed.Store(int32(len(o.failing)))
}

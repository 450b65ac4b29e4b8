package history

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
)

// Most bounds the requests that a History remembers.
const Most = policy.MostHistory

// History remembers the last requests of one worker. All methods may be called by all goroutines at once; those of nil do nothing.
type History struct {
	next atomic.Uint64 // number of the next request
	ring []slot
	pool sync.Pool // of *Decision
}

// slot is one place of the ring. Its lock is held for a copy alone.
type slot struct {
	mu     sync.Mutex
	used   bool
	record record
}

// New makes a History of n requests, 0 to Most. That of 0 is nil.
func New(n int) (*History, error) {
	if n < 0 || n > Most {
		return nil, fmt.Errorf("cannot remember %d requests: 0, which is none, to %d are expected", n, Most)
	}
	if n == 0 {
		return nil, nil
	}
	h := &History{ring: make([]slot, n)}
	h.pool.New = func() any { return &Decision{history: h} }
	return h, nil
}

// keptTries is how many tries a record has. Of more, the last takes the place of the one before it.
const keptTries = 4

// record is what is remembered of one request.
type record struct {
	number uint64
	id     string
	at     time.Time // by the wall clock
	began  int64     // in nanoseconds of ipc.Monotonic, as the other times
	ended  int64     // 0: it is running
	queued int64
	status int
	picks  int
	err    string
	tries  [keptTries]try
	seen   gate.Seen
}

// RecordSize is what one remembered request takes, in bytes.
const RecordSize = int(unsafe.Sizeof(slot{}))

type try struct {
	member       string
	outcome      decisions.Outcome
	why          string
	began, ended int64
}

// Decision is one request on its way. It belongs to the goroutine that serves the request. All methods of nil do nothing.
type Decision struct {
	history *History
	record
	asked int64 // since when a member is sought; 0: none is
}

// Begin begins a request with its X-Request-Id, which is bounded by the caller. It is nil for nil.
func (h *History) Begin(id string) *Decision {
	if h == nil {
		return nil
	}
	d := h.pool.Get().(*Decision)
	d.record = record{number: h.next.Add(1) - 1, id: id, at: time.Now(), began: ipc.Monotonic()}
	d.seen.Chosen = -1
	return d
}

// Picking returns what the next pick is to fill: for gate.Request.Seen. now is that of the request, in nanoseconds of ipc.Monotonic.
func (d *Decision) Picking(now int64) *gate.Seen {
	if d == nil {
		return nil
	}
	if d.asked == 0 {
		d.asked = now
	}
	return &d.seen
}

// waited ends the wait for a member, if there is one: a request that is moved from one member to another has none.
func (d *Decision) waited(now int64) {
	if d.asked != 0 {
		d.queued, d.asked = d.queued+max(now-d.asked, 0), 0
	}
}

// Picked notes that the request goes to a member.
func (d *Decision) Picked(member string) {
	if d == nil {
		return
	}
	now := ipc.Monotonic()
	d.waited(now)
	d.tries[min(d.picks, keptTries-1)] = try{member: member, outcome: decisions.Sent, began: now}
	d.picks++
	d.keep()
}

var outcomes = map[gate.Outcome]decisions.Outcome{
	gate.Answered: decisions.Answered, gate.Failed: decisions.Failed, gate.Refused: decisions.Refused, gate.Cancelled: decisions.Cancelled,
}

// Tried notes how the try that Picked has begun ended. err may be nil.
func (d *Decision) Tried(outcome gate.Outcome, err error) {
	if d == nil || d.picks == 0 {
		return
	}
	t := &d.tries[min(d.picks, keptTries)-1]
	t.outcome, t.ended = outcomes[outcome], ipc.Monotonic()
	if err != nil {
		t.why = err.Error()
	}
}

// End notes how the request ended: with which status, 0 for none, and what was wrong. d must not be used after that.
func (d *Decision) End(status int, err error) {
	if d == nil {
		return
	}
	now := ipc.Monotonic()
	d.waited(now)
	d.status, d.ended = status, max(now, 1)
	if err != nil {
		d.err = err.Error()
	}
	d.keep()
	h := d.history
	*d = Decision{history: h} // the pool keeps no report
	h.pool.Put(d)
}

// Told notes that the client was told of the member that Picked has named, in place of an answer of it.
func (d *Decision) Told() {
	if d == nil || d.picks == 0 {
		return
	}
	t := &d.tries[min(d.picks, keptTries)-1]
	t.outcome, t.ended = decisions.Told, ipc.Monotonic()
}

// decisionKey is the key of a context that has a Decision.
type decisionKey struct{}

// With gives what answers a request in place of a member its decision: see Of. ctx as it is, if d is nil.
func (d *Decision) With(ctx context.Context) context.Context {
	if d == nil {
		return ctx
	}
	return context.WithValue(ctx, decisionKey{}, d)
}

// Of is the decision of With; nil: there is none.
func Of(ctx context.Context) *Decision {
	d, _ := ctx.Value(decisionKey{}).(*Decision)
	return d
}

// keep copies the record into the ring, unless a later request has its place.
func (d *Decision) keep() {
	s := &d.history.ring[d.number%uint64(len(d.history.ring))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.used || s.record.number <= d.number {
		s.used, s.record = true, d.record
	}
}

// Find returns what is remembered, newest first.
func (h *History) Find(q decisions.Query) decisions.Answer {
	a := decisions.Answer{Decisions: []decisions.Decision{}}
	if h == nil {
		return a
	}
	a.Kept = len(h.ring)
	var found []record
	for i := range h.ring {
		s := &h.ring[i]
		s.mu.Lock()
		if s.used && (q.ID == "" || q.ID == s.record.id) {
			found = append(found, s.record)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(found, func(a, b record) int { return int(int64(b.number - a.number)) })
	now := ipc.Monotonic()
	for i := range found[:min(len(found), max(q.Last, 0))] {
		a.Decisions = append(a.Decisions, found[i].told(now))
	}
	return a
}

package pending

import (
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

const (
	// Longest is how long a pick is held at most.
	Longest = 5 * time.Second
	// Most bounds how many are held at one member. For one more the oldest is released.
	Most = 10_000
)

// Ledger holds picks. Its methods may be called by all goroutines at once. Times are in nanoseconds of ipc.Monotonic.
type Ledger struct {
	counted members.Stat

	mu      sync.Mutex
	members map[string]*member
}

type member struct {
	held            []held // the oldest first
	epoch, sequence uint64 // of the newest report
	reported        bool
	shown           float64 // clients, by it
}

type held struct {
	pick gate.Pick
	at   int64
}

// New makes a Ledger that goes by this statistic of reports.
func New(counted members.Stat) *Ledger {
	return &Ledger{counted: counted, members: map[string]*member{}}
}

// Add holds a pick from now on.
func (l *Ledger) Add(k gate.Pick, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.members[k.Member().ID]
	if m == nil {
		m = &member{}
		l.members[k.Member().ID] = m
	}
	if len(m.held) == Most {
		m.release(1)
	}
	m.held = append(m.held, held{k, now})
}

// Update takes in a new table.
func (l *Ledger) Update(t members.Table, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.members
	l.members = make(map[string]*member, len(t.Members))
	for i := range t.Members {
		id := t.Members[i].ID
		m := before[id]
		if m == nil {
			m = &member{}
		}
		delete(before, id)
		l.members[id] = m
		m.hear(t.Members[i].Report, l.counted)
	}
	for _, m := range before {
		m.release(len(m.held))
	}
	l.expire(now)
}

// hear releases as many as a report shows more than the one before.
func (m *member) hear(r *members.Report, counted members.Stat) {
	if r == nil || m.reported && r.Epoch == m.epoch && r.Sequence == m.sequence {
		return
	}
	n, told := r.Stats[counted]
	if !told {
		return
	}
	if more := n - m.shown; m.reported && more > 0 {
		m.release(int(min(more, Most)))
	}
	m.reported, m.epoch, m.sequence, m.shown = true, r.Epoch, r.Sequence, n
}

// Refresh releases what was held for Longest.
func (l *Ledger) Refresh(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(now)
}

func (l *Ledger) expire(now int64) {
	for _, m := range l.members {
		n := 0
		for n < len(m.held) && now-m.held[n].at >= int64(Longest) {
			n++
		}
		m.release(n)
	}
}

// release gives up the oldest n, or all.
func (m *member) release(n int) {
	n = min(n, len(m.held))
	for _, h := range m.held[:n] {
		h.pick.Release()
	}
	if m.held = m.held[n:]; len(m.held) == 0 {
		m.held = nil
	}
}

// Held is how many are held at a member.
func (l *Ledger) Held(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.members[id]; m != nil {
		return len(m.held)
	}
	return 0
}

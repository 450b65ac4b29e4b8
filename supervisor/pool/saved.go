package pool

import "time"

// SavedVersion is the version of Saved that Snapshot writes. It grows when an older program could misunderstand a newer record;
// a field that may be left out does not change it.
const SavedVersion = 1

// Saved is all of a pool that must outlive the master, as plain data, to be kept as JSON. It shares nothing with the pool.
//
// Times are durations from the moment of the snapshot, in nanoseconds: those that end in Ago before it, those that end in In
// after it, and negative if that had passed already. The configuration is not part of it.
type Saved struct {
	Version         int            `json:"version"`
	Phase           string         `json:"phase"` // as in Status
	Want            int            `json:"want"`
	Claimed         int            `json:"claimed"`
	Slots           []SavedSlot    `json:"slots"` // the open ones, by number
	Standbys        SavedSlot      `json:"bench"` // no slot of the app: what Pool.standbys holds
	Abandoned       []SavedWorker  `json:"abandoned,omitempty"`
	FirstID         WorkerID       `json:"first_id"`
	NextID          WorkerID       `json:"next_id"`
	FirstGeneration int            `json:"first_generation"`
	Generation      int            `json:"generation"`
	Newest          int            `json:"newest"`
	Rollout         *SavedRollout  `json:"rollout,omitempty"`
	Queued          string         `json:"queued,omitempty"`
	QueuedBack      bool           `json:"queued_back,omitempty"`
	Served          bool           `json:"served,omitempty"`
	Code            int            `json:"code,omitempty"`
	Why             string         `json:"why,omitempty"`
	Requests        *SavedRequests `json:"requests,omitempty"` // nil: they are not held
	Hurried         bool           `json:"hurried,omitempty"`
	EndIn           time.Duration  `json:"end_in,omitempty"`  // with Hurried
	KillIn          time.Duration  `json:"kill_in,omitempty"` // with Hurried: the last SIGKILL
	DoneCode        int            `json:"done_code,omitempty"`
	DoneReason      string         `json:"done_reason"`
	Random          uint64         `json:"random"`
}

// SavedRollout is the rollout under way.
type SavedRollout struct {
	Generation int           `json:"generation"`
	Reason     string        `json:"reason"`
	BeganAgo   time.Duration `json:"began_ago"`
	Failure    string        `json:"failure,omitempty"`
	Back       bool          `json:"back,omitempty"`
}

// SavedSlot is one slot, or the standbys.
type SavedSlot struct {
	Workers    []SavedWorker `json:"workers,omitempty"` // oldest first
	Filled     bool          `json:"filled,omitempty"`
	Generation int           `json:"generation,omitempty"`
	Failures   int           `json:"failures,omitempty"`
	Failure    string        `json:"failure,omitempty"`
	FailedAgo  time.Duration `json:"failed_ago,omitempty"` // with Failures
	RetryIn    time.Duration `json:"retry_in,omitempty"`   // 0: at once
	Hasty      int           `json:"hasty,omitempty"`
	Finished   bool          `json:"finished,omitempty"`
	Swept      bool          `json:"swept,omitempty"`
	Sweeps     int           `json:"sweeps,omitempty"` // workers spawned for nothing else
	Held       string        `json:"held,omitempty"`
	Replacing  string        `json:"replacing,omitempty"` // why it has its turn
}

// SavedWorker is one worker.
type SavedWorker struct {
	ID         WorkerID      `json:"id"`
	Slot       int           `json:"slot,omitempty"` // of an abandoned one; the others' is where they are
	PID        int           `json:"pid,omitempty"`  // 0: ordered, and no answer yet
	State      State         `json:"state"`
	Generation int           `json:"generation"`
	OrderedAgo time.Duration `json:"ordered_ago"`
	SinceAgo   time.Duration `json:"since_ago"`           // in this state
	DueIn      time.Duration `json:"due_in,omitempty"`    // while starting, draining or killing
	WasReady   bool          `json:"was_ready,omitempty"` // once
	ReadyAgo   time.Duration `json:"ready_ago,omitempty"` // with WasReady
	AgeShare   float64       `json:"age_share,omitempty"` // of AgeJitter, -1..1
	Assigned   bool          `json:"assigned,omitempty"`  // it was a standby before
	Renewed    bool          `json:"renewed,omitempty"`   // a master that came later gave it the ready timeout anew
	Told       *SavedDrain   `json:"told,omitempty"`      // to drain
	Sweeping   bool          `json:"sweeping,omitempty"`  // that empties the queues of its slot for good
	Stalled    string        `json:"stalled,omitempty"`
	StalledAgo time.Duration `json:"stalled_ago,omitempty"` // with Stalled
	Dump       string        `json:"dump,omitempty"`        // why it shall say what it is doing
	Dumped     bool          `json:"dumped,omitempty"`      // it was asked
	Recycle    string        `json:"recycle,omitempty"`     // why it waits to be replaced
	Owed       int           `json:"owed,omitempty"`        // signal: 0 none, 1 SIGTERM, 2 SIGKILL
	Sent       int           `json:"sent,omitempty"`        // the same
	Why        string        `json:"why,omitempty"`         // of what is owed
}

// SavedDrain is the order that a draining worker was given.
type SavedDrain struct {
	Reason   string        `json:"reason"`
	Handover bool          `json:"handover,omitempty"`
	Linger   bool          `json:"linger,omitempty"`
	Delay    time.Duration `json:"delay"`
}

// Snapshot returns what a later master needs to go on from here: see "Restored". It is to be stored before the effects of the
// last Step are carried out, else a worker might exist that the record does not know.
func (p *Pool) Snapshot(now time.Time) Saved {
	p.changes.saved(p.head())
	return p.snapshot(now)
}

func (p *Pool) snapshot(now time.Time) Saved {
	saved := Saved{
		Version: SavedVersion, Phase: p.phase.String(),
		Want: p.want, Claimed: p.claimed,
		Slots:   make([]SavedSlot, 0, len(p.slots)),
		FirstID: p.cfg.FirstID, NextID: p.nextID,
		FirstGeneration: p.cfg.FirstGeneration, Generation: p.generation, Newest: p.newest,
		Queued: p.queued, QueuedBack: p.queuedBack, Served: p.served, Code: p.code, Why: p.why,
		DoneCode: p.last.Code, DoneReason: p.last.Reason, Random: p.rand,
	}
	if !p.endBy.IsZero() {
		saved.Hurried, saved.EndIn, saved.KillIn = true, p.endBy.Sub(now), p.killBy.Sub(now)
	}
	saved.Requests = p.requests.saved(now)
	if r := p.rollout; r.active() {
		saved.Rollout = &SavedRollout{Generation: r.generation, Reason: r.reason, BeganAgo: now.Sub(r.began), Failure: r.failure, Back: r.back}
	}
	room := make([]SavedWorker, 0, len(p.workers)-len(p.abandoned)) // one piece of memory for all slots
	for _, s := range p.slots {
		saved.Slots = append(saved.Slots, s.saved(now, &room))
	}
	saved.Standbys = p.standbys.saved(now, &room)
	saved.Abandoned = p.savedAbandoned(now)
	return saved
}

func (p *Pool) savedAbandoned(now time.Time) (all []SavedWorker) {
	for _, w := range p.abandoned {
		saved := w.saved(now)
		saved.Slot = w.slot.number
		all = append(all, saved)
	}
	return all
}

func (s *slot) saved(now time.Time, room *[]SavedWorker) SavedSlot {
	saved := SavedSlot{
		Filled: s.filled, Generation: s.generation, Finished: s.finished, Hasty: s.hasty,
		Swept: s.sweep.done, Sweeps: s.sweep.spawned, Held: s.held, Replacing: s.replacing,
	}
	if s.failures > 0 {
		saved.Failures, saved.Failure, saved.FailedAgo = s.failures, s.failure, now.Sub(s.failedAt)
	}
	if s.retryAt.After(now) {
		saved.RetryIn = s.retryAt.Sub(now)
	}
	first := len(*room)
	for _, w := range s.workers {
		sw := w.saved(now)
		sw.Sweeping = s.sweep.by == w
		*room = append(*room, sw)
	}
	if last := len(*room); last > first {
		saved.Workers = (*room)[first:last:last]
	}
	return saved
}

func (w *worker) saved(now time.Time) SavedWorker {
	saved := SavedWorker{
		ID: w.id, PID: w.pid, State: w.state, Generation: w.generation,
		OrderedAgo: now.Sub(w.ordered), SinceAgo: now.Sub(w.since),
		AgeShare: w.share, Assigned: w.assigned, Renewed: w.renewed,
		Stalled: w.stall, Dump: w.dump, Dumped: w.dumped, Recycle: w.recycle,
		Owed: int(w.owed), Sent: int(w.sent), Why: w.why,
	}
	if w.state.timed() {
		saved.DueIn = w.due.Sub(now)
	}
	if w.wasReady() {
		saved.WasReady, saved.ReadyAgo = true, now.Sub(w.readyAt)
	}
	if w.stalled() {
		saved.StalledAgo = now.Sub(w.stalledAt)
	}
	if d := w.told; d != nil {
		saved.Told = &SavedDrain{Reason: d.Reason, Handover: d.Handover, Linger: d.Linger, Delay: d.Delay}
	}
	return saved
}

package pool

import (
	"slices"
	"time"
)

// Status is a copy of what the pool knows, for people and programs that ask.
type Status struct {
	Phase      string          `json:"phase"` // idle, running, stopping, killing, done
	Wanted     int             `json:"wanted"`
	Ready      int             `json:"ready"`
	Generation int             `json:"generation"` // of the last completed rollout
	Rollout    *RolloutStatus  `json:"rollout,omitempty"`
	Requests   *RequestsStatus `json:"requests,omitempty"` // while gateways hold them
	Slots      []SlotStatus    `json:"slots"`
	Standbys   []WorkerStatus  `json:"standbys,omitempty"`  // have no slot yet
	Abandoned  []WorkerStatus  `json:"abandoned,omitempty"` // outlived SIGKILL and may still exist
}

// RolloutStatus is that of the rollout under way.
type RolloutStatus struct {
	Generation int       `json:"generation"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
	Rolled     int       `json:"rolled"` // of Wanted
	Queued     bool      `json:"queued"` // one more follows
}

// SlotStatus is that of one slot.
type SlotStatus struct {
	Slot       int            `json:"slot"`
	State      SlotState      `json:"state"`
	Generation int            `json:"generation"`
	Failures   int            `json:"failures"`
	RetryAt    time.Time      `json:"retry_at,omitzero"`
	Hasty      int            `json:"hasty,omitempty"` // workers in a row that were recycled a moment after they were ready, where the next one waits for it
	Finished   bool           `json:"finished,omitempty"`
	Retiring   bool           `json:"retiring,omitempty"`
	Held       string         `json:"held,omitempty"`      // why it gets no worker
	Replacing  string         `json:"replacing,omitempty"` // why
	Workers    []WorkerStatus `json:"workers"`
}

// WorkerStatus is that of one worker.
type WorkerStatus struct {
	ID         WorkerID  `json:"id"`
	PID        int       `json:"pid"` // 0: not spawned yet
	State      State     `json:"state"`
	Generation int       `json:"generation"`
	Since      time.Time `json:"since"`             // in this state
	Started    time.Time `json:"started"`           // when it was ordered
	ReadyAt    time.Time `json:"ready_at,omitzero"` // zero: never was
	Stalled    string    `json:"stalled,omitempty"` // how that was seen; empty: it is not
	Recycle    string    `json:"recycle,omitempty"` // why it waits to be replaced
}

// Status returns a copy that shares nothing with the pool.
func (p *Pool) Status() Status {
	st := Status{Phase: p.phase.String(), Wanted: p.want, Generation: p.generation, Requests: p.requests.status()}
	if p.rollout.active() {
		st.Rollout = &RolloutStatus{
			Generation: p.rollout.generation, Reason: p.rollout.reason, Since: p.rollout.began, Queued: p.queued != "",
		}
	}
	for _, s := range p.slots {
		ss := SlotStatus{
			Slot: s.number, State: s.state(p.now), Generation: s.generation, Failures: s.failures,
			Finished: s.finished, Retiring: s.number >= p.want, Held: s.held, Replacing: s.replacing,
		}
		if s.hasty > hasteFree {
			ss.Hasty = s.hasty
		}
		if ss.State == SlotBackoff {
			ss.RetryAt = s.retryAt
		}
		for _, w := range s.workers {
			ss.Workers = append(ss.Workers, w.status())
			if w.state == StateReady {
				st.Ready++
			}
		}
		if st.Rollout != nil && !ss.Retiring && !p.stale(s) {
			st.Rollout.Rolled++
		}
		st.Slots = append(st.Slots, ss)
	}
	for _, w := range p.standbys.workers {
		st.Standbys = append(st.Standbys, w.status())
	}
	for _, w := range p.abandoned {
		st.Abandoned = append(st.Abandoned, w.status())
	}
	return st
}

func (w *worker) status() WorkerStatus {
	return WorkerStatus{
		ID: w.id, PID: w.pid, State: w.state, Generation: w.generation,
		Since: w.since, Started: w.ordered, ReadyAt: w.readyAt, Stalled: w.stall, Recycle: w.recycle,
	}
}

// Clone returns a copy that shares nothing with st.
func (st Status) Clone() Status {
	if st.Rollout != nil {
		r := *st.Rollout
		st.Rollout = &r
	}
	if st.Requests != nil {
		r := *st.Requests
		st.Requests = &r
	}
	st.Slots, st.Standbys, st.Abandoned = slices.Clone(st.Slots), slices.Clone(st.Standbys), slices.Clone(st.Abandoned)
	for i := range st.Slots {
		st.Slots[i].Workers = slices.Clone(st.Slots[i].Workers)
	}
	return st
}

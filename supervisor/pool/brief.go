package pool

// Phase is how far a pool is. It only goes on.
type Phase = phase

const (
	PhaseIdle     = idle     // Start has not come
	PhaseRunning  = running  // slots are kept filled
	PhaseStopping = stopping // everything drains
	PhaseKilling  = killing  // everything is killed at once
	PhaseDone     = done     // Done was given
)

// Brief is what those decide by that decide between apps. It is comparable.
type Brief struct {
	Phase      Phase
	Wanted     int  // slots
	Generation int  // of the last completed rollout
	Rolling    bool // a rollout is under way
	AllReady   bool // each wanted slot that has not finished has a ready worker, and there is one
	Tried      bool // some worker has a process, or its start has failed, or its slot has finished
}

// Brief costs one look at each worker, and makes no copy of them.
func (p *Pool) Brief() Brief {
	b := Brief{Phase: p.phase, Wanted: p.want, Generation: p.generation, Rolling: p.rollout.active()}
	ready, lacking := 0, false
	for _, s := range p.slots {
		serves := false
		b.Tried = b.Tried || s.failures > 0 || s.finished
		for _, w := range s.workers {
			serves = serves || w.state == StateReady
			b.Tried = b.Tried || w.pid != 0
		}
		switch {
		case s.finished || s.number >= p.want:
		case serves:
			ready++
		default:
			lacking = true
		}
	}
	b.AllReady = ready > 0 && !lacking
	return b
}

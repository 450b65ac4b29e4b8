package pool

import "time"

type phase uint8

const (
	idle     phase = iota // before Start
	running               // slots are kept filled
	stopping              // everything drains
	killing               // everything is killed at once
	done                  // Done was given
)

var phaseNames = [...]string{"idle", "running", "stopping", "killing", "done"}

func (ph phase) String() string { return phaseNames[ph] }

// Pool decides for one app. It is not safe for concurrent use: one loop owns it.
type Pool struct {
	cfg   Config
	phase phase
	now   time.Time // of the last Step

	want     int     // slots wanted
	claimed  int     // slots below it were wanted in the last Step, or when the stop began
	slots    []*slot // open ones by number; those from want on are being retired
	standbys *slot   // holds the standbys: not one of slots, and without a number

	workers   map[WorkerID]*worker // those in slots, and the abandoned
	abandoned []*worker            // treated as gone, but their last fact has not come
	nextID    WorkerID

	generation int // of the last completed rollout: what a new slot starts with
	newest     int // the highest generation ever begun: an aborted one's number is not used again
	rollout    rollout
	queued     string // reason of the one rollout that follows; empty: none
	queuedBack bool   // it is one to the release before

	served bool      // a worker of this app was ready once
	code   int       // the first exit code other than 0, where nothing is restarted
	why    string    // it does not run any more
	endBy  time.Time // when it must have ended, as Hurry said; zero: never
	killBy time.Time // the last SIGKILL before that
	last   Done      // what will be said at the end

	requests requests

	steered []int // what the last Steer ordered
	live    []int // of the Step under way; kept for its memory

	focus   focus
	changes changes

	rand    uint64
	effects []Effect // of the Step under way

	adopting bool // restored, and Restored has not come: facts are learned, and nothing is ordered
	again    bool // in the Step of Restored: what is ordered already is to be said again
}

// New returns a pool that does nothing until its first Step, which should be Start.
func New(cfg Config) *Pool {
	cfg = cfg.normal()
	return &Pool{
		cfg:        cfg,
		want:       cfg.Workers,
		standbys:   &slot{number: noSlot},
		workers:    make(map[WorkerID]*worker),
		nextID:     cfg.FirstID,
		generation: cfg.FirstGeneration,
		newest:     cfg.FirstGeneration,
		last:       Done{Code: CodeStopped, Reason: "stopped"},
		rand:       cfg.Seed,
	}
}

// Step takes in one event and returns what to do about it, in order. The slice belongs to the caller. After Done it
// returns nothing.
//
// Step handles ev before it checks deadlines, so a Ready that arrives at the same instant as the timeout counts.
func (p *Pool) Step(now time.Time, ev Event) []Effect {
	if p.phase == done && !p.adopting {
		return nil
	}
	p.now = now
	about, all := p.about(ev)
	p.learn(ev)
	switch {
	case p.adopting:
		// Facts and wishes are gathered first, because what each of them means may rest on the others.
	case p.phase == done:
		p.emit(p.last) // Who heard it before is gone.
	default:
		p.look(about, all)
		p.expire()
		p.reconcile()
		p.looked()
		p.again = false
	}
	effects := p.effects
	p.effects = nil
	return effects
}

func (p *Pool) emit(e Effect) { p.effects = append(p.effects, e) }

// learn turns an event into facts. Nothing is decided here but what the fact itself means; reconcile does the rest.
func (p *Pool) learn(ev Event) {
	if p.adopting && commands(ev) {
		p.impossible(nil, "a command before restored")
		return
	}
	switch ev := ev.(type) {
	case Tick:
		// The time is all that it says.
	case Spawned:
		p.spawned(ev)
	case SpawnFailed:
		p.spawnFailed(ev)
	case Ready:
		p.becameReady(ev)
	case Parked:
		p.parked(ev)
	case Stalled:
		p.stalled(ev)
	case Resumed:
		p.resumed(ev)
	case Leaving:
		p.leaving(ev)
	case Exited:
		p.exited(ev)
	case Recycle:
		p.recycle(ev)
	case Paused:
		p.paused(ev)
	case Start:
		p.start()
	case Restored:
		p.restored()
	case Scale:
		p.releaseThat(func(s *slot) bool { return s.number < ev.N }) // a slot that goes need not be filled before
		p.scale(ev.N)
	case Roll:
		p.releaseThat(func(*slot) bool { return true })
		p.roll(ev.Reason, ev.Back)
	case Hold:
		p.hold(ev)
	case Release:
		p.releaseThat(func(s *slot) bool { return ev.Slot == noSlot || ev.Slot == s.number })
	case HoldRequests:
		p.holdRequests(ev)
	case PassRequests:
		p.passRequests(ev.Reason)
	case Reconfigure:
		p.reconfigure(ev.Config)
	case Hurry:
		p.hurry(ev.Within)
	case Stop:
		p.stop(ev.Reason)
	case Kill:
		p.kill(ev.Reason)
	default:
		p.impossible(nil, "unknown event")
	}
}

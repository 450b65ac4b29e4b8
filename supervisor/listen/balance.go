package listen

import (
	"slices"
	"time"
)

// balance decides which slots a kind that cannot count by itself lets get connections, and with which weights.
//
// The kernel draws among them at random until the next decision, many connections later. So it never names the one
// slot with the least to do, which all would rush to: a slot is left out only because its queue stands still, or
// because it has much more to do than others. And it answers noise in the counters as rarely as it can, since each
// change costs a program.
//
// What a slot gets done between two looks is the measure of noise. At saturation that is many times what it has to do at any
// moment: the slot that is ahead then changes long before the next look, and to follow it leaves CPUs without work.
type balance struct {
	slots   []share
	loads   []int
	stands  []time.Duration
	doubt   time.Duration // queues that stand still for so long cost weight
	out     time.Duration // or take their slot out
	open    []int         // decided last; nil: all
	weights []uint8       // of open; nil: all the same
	calm    bool          // there is nothing to decide: all slots get connections, hardly any connection waits, and no slot has much more to do than others
	next    struct {
		open    []int
		weights []uint8
	}
}

// share is what balance remembers of a slot.
type share struct {
	admitted bool
	todo     [4]int // connections that it was busy with, or that waited, at the last looks
	at       int
	busy     int // at the last look
	accepted uint64
	done     int           // connections between the last two looks; 0 of workers that do not count
	weight   uint8         // 0 to fullWeight
	better   uint8         // the most it may be raised to
	since    time.Duration // better is above weight since then; 0: it is not
}

const (
	fullWeight = 4
	// Of a worker that gets to run no queue stands still for as long.
	doubtAfter = 5 * time.Millisecond
	outAfter   = 20 * time.Millisecond
	// settleAfter is how long a slot must have deserved more before it gets it. Less it gets at once.
	settleAfter = 40 * time.Millisecond
)

// look decides. It answers whether that is anything new; then open and weights are valid until the next look.
func (b *balance) look(now time.Duration, tracks []track) (changed bool) {
	for len(b.slots) < len(tracks) {
		b.slots = append(b.slots, share{})
	}
	b.slots = b.slots[:len(tracks)]
	b.judge(now, tracks)
	b.loads, b.calm = b.loads[:0], true
	for i := range tracks {
		s, t := &b.slots[i], &tracks[i]
		s.look(&t.last)
		if s.admitted && t.stands(now) < b.out {
			b.loads = append(b.loads, s.load())
		}
	}
	if len(b.loads) > 0 {
		// Compare with the lower quartile, not with the minimum: among many slots one is always idle.
		slices.Sort(b.loads)
		little := b.loads[(len(b.loads)-1)/4]
		for i := range tracks {
			if s, t := &b.slots[i], &tracks[i]; s.admitted {
				// A worker that has just accepted as many as wait now only waits for its turn on a CPU.
				s.weigh(now, s.load(), little, t.stands(now) >= b.doubt && t.last.queue > s.done)
				b.calm = b.calm && t.last.queue <= s.done/4 && deserves(s.busy-s.done, little) == fullWeight
			}
		}
	}
	b.decide(now, tracks)
	b.calm = b.calm && len(b.next.open) == 0
	if slices.Equal(b.next.open, b.open) && slices.Equal(b.next.weights, b.weights) {
		return false
	}
	b.open, b.next.open = b.next.open, b.open
	b.weights, b.next.weights = b.next.weights, b.weights
	return true
}

// judge decides what a queue that stands still means. Where the workers hardly get to run, it means little: then what most
// of them take is a measure for the others.
func (b *balance) judge(now time.Duration, tracks []track) {
	b.stands = b.stands[:0]
	for i := range tracks {
		if t := &tracks[i]; t.last.admitted {
			b.stands = append(b.stands, t.stands(now))
		}
	}
	b.doubt, b.out = doubtAfter, outAfter
	if len(b.stands) > 0 {
		slices.Sort(b.stands)
		usual := b.stands[(len(b.stands)-1)/3]
		b.doubt, b.out = max(b.doubt, 2*usual), max(b.out, 4*usual)
	}
}

// forget is for when nothing is narrowed down any more.
func (b *balance) forget() { b.slots, b.open, b.weights = b.slots[:0], b.open[:0], b.weights[:0] }

func (s *share) look(v *view) {
	if !v.admitted {
		*s = share{}
		return
	}
	if !s.admitted {
		*s = share{admitted: true, weight: fullWeight, busy: v.busy(), accepted: v.accepted()}
		for i := range s.todo {
			s.todo[i] = v.busy() + v.queue
		}
	}
	s.todo[s.at] = v.busy() + v.queue
	s.at = (s.at + 1) % len(s.todo)
	// A worker's count can be anything: no more of it than busy has at most.
	s.done = max(int(min(v.accepted()-s.accepted, 1<<20))+s.busy-v.busy(), 0)
	s.busy, s.accepted = v.busy(), v.accepted()
}

// load is what the slot has had to do for some looks, without what is gone before the next one. Connections that come and go
// within milliseconds are no sign of anything; those of a worker that is stuck stay.
func (s *share) load() int { return max(slices.Min(s.todo[:])-s.done, 0) }

// weigh gives the slot a weight by how much more it has to do than those with little.
func (s *share) weigh(now time.Duration, load, little int, doubtful bool) {
	deserved := deserves(load, little)
	if doubtful {
		deserved = min(deserved, 1)
	}
	switch {
	case deserved <= s.weight:
		s.weight, s.since = deserved, 0
	case s.since == 0:
		s.better, s.since = deserved, max(now, 1)
	default:
		s.better = min(s.better, deserved)
		if now-s.since >= settleAfter {
			s.weight, s.since = s.better, 0
		}
	}
}

// deserves is the weight for a load, beside a little one. Among many busy connections a few more mean less.
func deserves(load, little int) uint8 {
	switch more := (load - little) / (1 + little/8); {
	case more < 3:
		return fullWeight
	case more < 6:
		return 3
	case more < 12:
		return 2
	case more < 24:
		return 1
	}
	return 0
}

// decide fills next.
func (b *balance) decide(now time.Duration, tracks []track) {
	n := &b.next
	n.open, n.weights = n.open[:0], n.weights[:0]
	admitted, light := 0, 0
	for i := range tracks {
		if s := &b.slots[i]; s.admitted {
			admitted++
			if tracks[i].stands(now) < b.out && s.weight > 0 {
				light++
			}
		}
	}
	same := true
	for i := range tracks {
		s := &b.slots[i]
		if !s.admitted || tracks[i].stands(now) >= b.out || s.weight == 0 && light >= 2 {
			continue
		}
		n.open = append(n.open, i)
		n.weights = append(n.weights, max(s.weight, 1))
		same = same && n.weights[0] == n.weights[len(n.weights)-1]
	}
	if same {
		n.weights = n.weights[:0]
		if len(n.open) == admitted {
			n.open = n.open[:0]
		}
	}
}

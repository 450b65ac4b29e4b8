package gate

import (
	"container/heap"
	"math"
)

// mostTurns bounds the entries of a sequence. A member whose share is less than one of so many gets one all the same.
const mostTurns = 1 << 14

// byTurn goes round a sequence in which each member has as many turns as its weight says, spread evenly. A member that is full
// leaves its turn to the next.
func (s *snapshot) byTurn(p *Picker, r *Request) *member {
	n := uint64(len(s.sequence))
	if n == 0 {
		return nil
	}
	at := p.turn.Add(1) - 1
	for i := range n {
		if m := s.usable[s.sequence[(at+i)%n]]; s.may(m, r) {
			return m
		}
	}
	return nil
}

// turns is a heap of members by when their next turn is.
type turns []turnOf

type turnOf struct {
	place      int     // among those that are usable
	next, step float64 // in the sequence; its turns are step apart
}

func (t turns) Len() int { return len(t) }
func (t turns) Less(i, j int) bool {
	return t[i].next < t[j].next || t[i].next == t[j].next && t[i].place < t[j].place
}
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *turns) Push(x any)   { *t = append(*t, x.(turnOf)) }
func (t *turns) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// sequenceOf spreads the turns of all: the member whose next turn is due first is next.
func sequenceOf(all []*member) []int32 {
	if len(all) == 0 {
		return nil
	}
	lightest, sum := math.Inf(1), 0.0
	for _, m := range all {
		lightest, sum = min(lightest, m.Weight), sum+m.Weight
	}
	n := int(min(max(math.Round(sum/lightest), float64(len(all))), mostTurns))
	t := make(turns, len(all))
	for i, m := range all {
		step := min(sum/m.Weight, float64(n))
		t[i] = turnOf{place: i, step: step, next: step / 2}
	}
	heap.Init(&t)
	sequence := make([]int32, n)
	for i := range sequence {
		sequence[i] = int32(t[0].place)
		t[0].next += t[0].step
		heap.Fix(&t, 0)
	}
	return sequence
}

// first is the first in the list with room.
func (s *snapshot) first(r *Request) *member {
	for _, m := range s.usable {
		if s.may(m, r) {
			return m
		}
	}
	return nil
}

// draws is how often one is drawn before all are looked at: most members have room, or few do.
const draws = 4

// atRandom draws by weight.
func (s *snapshot) atRandom(p *Picker, r *Request) *member {
	for range draws {
		if m := s.draw.one(s.usable, p.options.Rand()); m != nil && s.may(m, r) {
			return m
		}
	}
	// By weight among those with room: one more counts with its share of what was seen so far.
	var found *member
	seen := 0.0
	for _, m := range s.usable {
		if s.may(m, r) {
			if seen += m.Weight; unit(p.options.Rand())*seen < m.Weight {
				found = m
			}
		}
	}
	return found
}

// unit is a number from 0 to below 1.
func unit(bits uint64) float64 { return float64(bits>>11) / (1 << 53) }

// alias draws one of n by weight with one lookup: the alias method of Walker, 1974, as Vose built it, 1991.
type alias struct {
	keep  []float64 // of column i: how much of it is i's own
	other []int32   // whose the rest is
}

func aliasOf(all []*member) (a alias) {
	sum := 0.0
	for _, m := range all {
		sum += m.Weight
	}
	a.keep, a.other = make([]float64, len(all)), make([]int32, len(all))
	var small, large []int
	for i, m := range all {
		a.keep[i], a.other[i] = m.Weight/sum*float64(len(all)), int32(i)
		if a.keep[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.other[s] = int32(l)
		if a.keep[l] -= 1 - a.keep[s]; a.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, rest := range [][]int{small, large} { // what is not exactly 1 is so by rounding alone
		for _, i := range rest {
			a.keep[i] = 1
		}
	}
	return a
}

// one is the member that bits draw; nil: there is none.
func (a alias) one(of []*member, bits uint64) *member {
	if len(of) == 0 {
		return nil
	}
	i := (bits >> 32) * uint64(len(of)) >> 32
	if float64(uint32(bits))/(1<<32) >= a.keep[i] {
		i = uint64(a.other[i])
	}
	return of[i]
}

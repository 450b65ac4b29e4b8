package rounds

import (
	"cmp"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// row is one member, and when it is asked.
type row struct {
	members.Member
	due   time.Time // of the next question
	asked uint64    // the question that is not answered yet; 0: there is none
}

// plan decides who is asked when. It is pure.
type plan struct {
	options Options
	random  func() float64 // 0 to below 1
	rows    map[string]*row
	asking  int // questions without an answer, those to members that have left among them
	last    uint64
}

// update takes over a new list. It returns the questions whose answers do not count any more: their members have left, or have another address.
// A new member is due at once.
func (p *plan) update(now time.Time, all []members.Member) (void []uint64) {
	before := p.rows
	p.rows = make(map[string]*row, len(all))
	for _, m := range all {
		r := before[m.ID]
		if r == nil || r.Address != m.Address {
			r = &row{due: now}
		} else {
			delete(before, m.ID)
		}
		r.Member = m
		p.rows[m.ID] = r
	}
	for _, r := range before {
		if r.asked > 0 {
			void = append(void, r.asked)
		}
	}
	slices.Sort(void)
	return void
}

// question is to one member.
type question struct {
	number uint64
	member members.Member
}

// ask returns the questions that begin now.
func (p *plan) ask(now time.Time) (all []question) {
	var due []*row
	for _, r := range p.rows {
		switch {
		case r.due.After(now):
		case r.asked > 0:
			p.next(now, r) // this turn is left out
		default:
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *row) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.ID, b.ID)) })
	for _, r := range due[:min(len(due), max(p.options.AtOnce-p.asking, 0))] {
		p.last++
		p.asking++
		r.asked = p.last
		p.next(now, r)
		all = append(all, question{r.asked, r.Member})
	}
	return all
}

// next sets the time of the next question. Turns that were missed are not made up for.
func (p *plan) next(now time.Time, r *row) {
	every := time.Duration(float64(p.options.Every) * (1 + p.options.Jitter*(2*p.random()-1)))
	if r.due = r.due.Add(every); r.due.Before(now) {
		r.due = now.Add(every)
	}
}

// answered takes in that a question has ended, also one that does not count any more.
func (p *plan) answered(q question) {
	p.asking--
	if r := p.rows[q.member.ID]; r != nil && r.asked == q.number {
		r.asked = 0
	}
}

// deadline is when ask has something to do again; zero: after an answer, or an update.
func (p *plan) deadline() (at time.Time) {
	if p.asking >= p.options.AtOnce {
		return at
	}
	for _, r := range p.rows {
		if at.IsZero() || r.due.Before(at) {
			at = r.due
		}
	}
	return at
}

package wake

import (
	"container/heap"
	"time"
)

// Agenda has messages that are due at a time. The zero Agenda is empty. It has no bound: the caller puts at most so many as it has
// reasons to.
type Agenda[M any] struct{ entries entries[M] }

// Put has a message come at a time. Of those with the same time any one comes first.
func (a *Agenda[M]) Put(at time.Time, m M) { heap.Push(&a.entries, entry[M]{at, m}) }

// Next is when the first one is due; zero: there is none.
func (a *Agenda[M]) Next() time.Time {
	if len(a.entries) == 0 {
		return time.Time{}
	}
	return a.entries[0].at
}

// Take removes the first one, if it is due.
func (a *Agenda[M]) Take(now time.Time) (m M, ok bool) {
	if len(a.entries) == 0 || a.entries[0].at.After(now) {
		return m, false
	}
	return heap.Pop(&a.entries).(entry[M]).message, true
}

type entry[M any] struct {
	at      time.Time
	message M
}

type entries[M any] []entry[M]

func (e entries[M]) Len() int           { return len(e) }
func (e entries[M]) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e entries[M]) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries[M]) Push(x any)        { *e = append(*e, x.(entry[M])) }
func (e *entries[M]) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = entry[M]{}
	*e = (*e)[:last]
	return x
}

package master

import (
	"container/heap"
	"time"
)

// agenda has messages that the loop gives itself at a time: one for each worker that waits for descriptors, and one for each that has
// closed its channel. The zero agenda is empty.
type agenda []entry

type entry struct {
	at      time.Time
	message message
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = entry{}
	*a = (*a)[:last]
	return x
}

// next is when the first one is due; zero: there is none.
func (a agenda) next() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].at
}

// take removes the first one that is due; nil: there is none.
func (a *agenda) take(now time.Time) message {
	if len(*a) == 0 || (*a)[0].at.After(now) {
		return nil
	}
	return heap.Pop(a).(entry).message
}

// later has the loop act on m after a time.
func (l *loop) later(d time.Duration, m message) {
	heap.Push(&l.agenda, entry{time.Now().Add(d), m})
	l.timerStale = true
}

// doLater acts on what is due.
func (l *loop) doLater(now time.Time) {
	for m := l.agenda.take(now); m != nil; m = l.agenda.take(now) {
		m.apply(l)
	}
}

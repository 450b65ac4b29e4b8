package queue

// list is waiters in the order in which they came.
type list struct {
	first, last *waiter
	n           int
}

func (l *list) add(w *waiter) {
	w.before, w.after = l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.after = w
	}
	l.last = w
	l.n++
}

func (l *list) remove(w *waiter) {
	if w.before == nil {
		l.first = w.after
	} else {
		w.before.after = w.after
	}
	if w.after == nil {
		l.last = w.before
	} else {
		w.after.before = w.before
	}
	w.before, w.after = nil, nil
	l.n--
}

// times is a heap of waiters by until, for package heap.
type times []*waiter

func (t times) Len() int { return len(t) }
func (t times) Less(i, j int) bool {
	if c := t[i].until.Compare(t[j].until); c != 0 {
		return c < 0
	}
	return t[i].ID < t[j].ID
}
func (t times) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i, j
}

func (t *times) Push(w any) {
	one := w.(*waiter)
	one.slot = len(*t)
	*t = append(*t, one)
}

func (t *times) Pop() any {
	n := len(*t) - 1
	w := (*t)[n]
	(*t)[n] = nil
	*t = (*t)[:n]
	return w
}

package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
)

// Watch starts to watch the Set's slots, until Close: whether they serve, and, where the kernel cannot decide alone, which
// of them get new connections. Without load nothing runs: the first connection wakes the watcher, if it waits to be
// accepted or if [Set.Wake] is called for it. Watch is to be called once; Notify may call all methods of the Set but Close.
//
// A Set without a board is watched from the moment on in which it has one.
//
// An error is that the system gives no means to be woken by a connection. The Set serves as before then, unwatched.
func (s *Set) Watch(w Watch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.board == nil && !s.closed && s.awaited == nil {
		s.awaited = &w
		return nil
	}
	return s.watch(w)
}

// watch begins to watch a Set with a board, with Set.mu held.
func (s *Set) watch(w Watch) error {
	bell, err := newDoorbell()
	if err != nil {
		return fmt.Errorf("cannot watch the slots: %w", err)
	}
	switch {
	case s.closed:
		err = errClosed
	case s.observer != nil || s.board == nil:
		err = errors.New("they are watched already")
	}
	if err != nil {
		bell.close()
		return fmt.Errorf("cannot watch the slots: %w", err)
	}
	x := &watcher{set: s, notify: w.Notify, pulse: w.Pulse, bell: bell, ended: make(chan struct{})}
	x.changed()
	s.observer = x
	go x.run()
	return nil
}

// watcher is the goroutine that watches a Set. Everything but its constants is protected by Set.mu, or its own.
type watcher struct {
	set    *Set
	notify func(Notice)
	bell   *doorbell
	ended  chan struct{}

	// Protected by Set.mu.
	pulse   time.Duration // Watch.Pulse, or a later one
	sockets []*os.File    // all, those of slot 0 first
	eyes    []eye         // by slot
	shared  []int         // descriptors of sockets that all slots share
	fallen  []Notice      // to be sent
	renewed bool          // what was decided may hold no more
	reader  queueReader
	flood   flood
	stale   uint64        // Header.StaleAfter, while a flood has it at 0; else 0
	deafAt  time.Duration // when it was told last that sockets listen no more; 0: all listen
	asleep  bool          // Header.Asleep is set: who counts a connection is to wake
	looks   int           // so far
	changes int

	// The goroutine's own.
	clock    runClock
	asked    time.Duration // how long it wanted to sleep last; 0: without an end
	tracks   []track
	stalls   []stall
	common   standing // of the shared sockets
	balance  balance
	pace     pace
	notices  []Notice
	pulsed   int64 // when the last Pulse was sent
	unpulsed bool  // something has moved since then
}

// changed is called with Set.mu held.
func (w *watcher) changed() {
	s := w.set
	w.renewed = true
	w.sockets = w.sockets[:0]
	for slot := range s.slots {
		for _, g := range s.groups {
			if (slot == 0 || !g.shared) && g.listens(slot) { // one that was shut down would ring for ever
				w.sockets = append(w.sockets, g.sockets[slot])
			}
		}
		if g := s.inner; g != nil && g.listens(slot) {
			w.sockets = append(w.sockets, g.sockets[slot])
		}
	}
	if slices.Equal(w.sockets, w.bell.sockets) && len(w.eyes) == s.slots {
		return
	}
	_ = w.bell.hang(w.sockets) // a bell that is deaf is not relied on
	w.eyes = w.eyes[:min(len(w.eyes), s.slots)]
	for len(w.eyes) < s.slots {
		w.eyes = append(w.eyes, eye{line: s.board.Line(len(w.eyes))})
	}
	w.shared = w.shared[:0]
	for slot := range w.eyes {
		e := &w.eyes[slot]
		e.queues, e.inner = e.queues[:0], -1
		if g := s.inner; g != nil && g.listens(slot) {
			_ = ipc.Control(g.sockets[slot], func(fd int) error {
				e.inner = fd
				return nil
			})
		}
		for _, g := range s.groups {
			fds := &e.queues
			if g.shared {
				fds = &w.shared
			}
			if (slot == 0 || !g.shared) && g.listens(slot) {
				_ = ipc.Control(g.socket(slot), func(fd int) error {
					*fds = append(*fds, fd)
					return nil
				})
			}
		}
	}
}

// fell is called with Set.mu held.
func (w *watcher) fell(n Notice) {
	w.fallen = append(w.fallen, n)
	w.bell.nudge()
}

// wake is called with Set.mu held. When the watcher is awake it looks after what was counted by now in any case.
func (w *watcher) wake() {
	if w.asleep {
		w.bell.call()
	}
}

func (w *watcher) end() {
	w.bell.close()
	<-w.ended
}

func (w *watcher) run() {
	defer close(w.ended)
	quiet := w.quiet
	rang := false
	for {
		next, arm := w.look(rang)
		if next == 0 && !w.bell.sound() {
			next = tickQuiet
		}
		w.asked = next
		var err error
		if rang, err = w.sleep(next, arm, quiet); err != nil {
			return
		}
	}
}

// sleep is the doorbell's wait, with the workers told of it.
func (w *watcher) sleep(d time.Duration, arm bool, quiet func() bool) (rang bool, err error) {
	rang, err = w.bell.wait(d, arm, quiet)
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	if w.asleep {
		w.asleep = false
		w.set.board.Header().Asleep.Store(0)
	}
	return rang, err
}

// quiet reports whether no connection has come and been accepted since the last look. Before it reads what was counted it
// says that the watcher sleeps: who counts one later sees that, and wakes it.
func (w *watcher) quiet() bool {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.asleep = true
	w.set.board.Header().Asleep.Store(ipc.Monotonic())
	if len(w.eyes) != len(w.tracks) {
		return false
	}
	for slot := range w.eyes {
		var v view
		w.eyes[slot].count(&v)
		if t := &w.tracks[slot].last; v.accepted() != t.accepted() || v.held() != t.held() {
			return false
		}
	}
	return true
}

// look looks at everything once and does what is to be done about it.
func (w *watcher) look(rang bool) (next time.Duration, arm bool) {
	at := ipc.Monotonic()
	now := w.clock.look(at, w.asked)
	w.asked = 0
	c, decide := w.sample(at, now)
	c.rang = rang
	for slot := range w.tracks {
		switch v := w.stalls[slot].look(now, &w.tracks[slot], w.common); {
		case v.stalled:
			w.notices = append(w.notices, Notice{What: Stalled, Slot: slot, Why: v.Why()})
		case v.resumed:
			w.notices = append(w.notices, Notice{What: Resumed, Slot: slot})
		}
		c.unsettled = c.unsettled || w.stalls[slot].on // its worker may be replaced
	}
	if !c.decides {
		w.balance.forget()
	} else if w.balance.look(now, w.tracks) || decide {
		w.changes++
		w.set.balance(orNil(w.balance.open), orNil(w.balance.weights))
	}
	c.calm = w.balance.calm
	next, arm = w.pace.look(now, w.tracks, c)
	busy, owed := w.beat(at, c)
	switch {
	case busy && (next == 0 || next > c.pulse): // a request that hangs moves nothing, and is looked for all the same
		next = max(c.pulse, tickFast)
	case owed && next == 0:
		next = tickQuiet
	}
	w.send()
	return next, arm
}

func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// sample brings tracks up to date, and corrects the lines where the kernel counts. It answers also whether what balance
// has decided is to be given again.
func (w *watcher) sample(at int64, now time.Duration) (c circumstances, decide bool) {
	s := w.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return c, false
	}
	kind := s.steerer.kind()
	c.decides = kind == KindCBPF && s.options.Policy == Least
	c.sockets, c.pulse = len(w.sockets), w.pulse
	decide, w.renewed = w.renewed, false
	w.looks++
	for len(w.tracks) < len(w.eyes) {
		w.tracks, w.stalls = append(w.tracks, track{}), append(w.stalls, stall{})
	}
	w.tracks, w.stalls = w.tracks[:len(w.eyes)], w.stalls[:len(w.eyes)]
	w.reader.deaf = false
	for _, fd := range w.shared {
		if w.reader.waits(fd) {
			c.shared++
		}
	}
	admitted := s.admitted
	flows, missing := false, int64(0)
	for slot := range w.eyes {
		var v view
		if len(admitted) > 0 && admitted[0] == slot {
			v.admitted, admitted = true, admitted[1:]
		}
		n := w.eyes[slot].look(at, &v, &w.reader, kind == KindEBPF)
		for seat := range v.seats {
			w.sit(slot, seat, &v.seats[seat])
		}
		c.unsettled = c.unsettled || n > 0
		missing += n
		w.tracks[slot].look(now, &v)
		flows = flows || w.tracks[slot].accepted
	}
	w.common.look(now, c.shared, flows)
	flood := w.flood.look(at, missing)
	w.patience(flood)
	c.unsettled = c.unsettled || flood // to see its end
	if w.hear(now) {
		c.unsettled = true
	}
	w.notices = append(w.notices, w.fallen...)
	w.fallen = w.fallen[:0]
	return c, decide
}

// hear looks for sockets that listen no more. It answers whether there are any: each is told again and again until it is
// mended. It is called with Set.mu held.
func (w *watcher) hear(now time.Duration) (deaf bool) {
	s := w.set
	if w.reader.deaf {
		for g := range s.every() {
			if g.hear() {
				w.deafAt = 0
			}
		}
		s.try(s.steer)
		w.changed()
	}
	var slots []int
	for g := range s.every() {
		if len(g.order) == len(g.sockets) {
			continue
		}
		for slot := range g.sockets {
			if !g.listens(slot) && !slices.Contains(slots, slot) {
				slots = append(slots, slot)
			}
		}
	}
	switch {
	case len(slots) == 0:
		w.deafAt = 0
		return false
	case w.deafAt != 0 && now-w.deafAt < stallAgain:
		return true
	}
	w.deafAt = max(now, 1)
	for _, slot := range slots {
		w.notices = append(w.notices, Notice{What: Deaf, Slot: slot})
	}
	return true
}

// patience makes the kernel judge slots by their load alone while there is a flood.
func (w *watcher) patience(flood bool) {
	h := w.set.board.Header()
	switch {
	case flood && w.stale == 0:
		w.stale = h.StaleAfter.Swap(0)
	case !flood && w.stale != 0:
		h.StaleAfter.Store(w.stale)
		w.stale = 0
	}
}

// beat adds a Pulse if one is due. It reports whether there will be more because a slot is busy, and whether one is still
// owed for what has moved since the last.
func (w *watcher) beat(at int64, c circumstances) (busy, owed bool) {
	if c.pulse <= 0 {
		return false, false
	}
	for i := range w.tracks {
		t := &w.tracks[i]
		w.unpulsed = w.unpulsed || t.moved
		busy = busy || t.last.queue > 0 || t.last.busy() > 0
	}
	w.unpulsed = w.unpulsed || c.rang
	if !w.unpulsed && !busy {
		return false, false
	}
	if w.pulsed != 0 && at-w.pulsed < int64(c.pulse) {
		return busy, w.unpulsed
	}
	w.notices = append(w.notices, Notice{What: Pulse})
	w.pulsed, w.unpulsed = at, false
	return busy, false
}

func (w *watcher) setPulse(d time.Duration) {
	if w.pulse == d {
		return
	}
	w.pulse = d
	w.bell.nudge()
}

func (w *watcher) send() {
	for _, n := range w.notices {
		if w.notify != nil {
			w.notify(n)
		}
	}
	w.notices = w.notices[:0]
}

package tickets

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSteps: every operation on a row in every state.
func TestSteps(t *testing.T) {
	t.Parallel()
	const me, seat = 7, 1
	names := []string{"free", "sent", "begun", "ended", "left", "withdrawn"}
	ops := map[string]func(s *Slot, k Ticket) bool{
		"begin":       func(s *Slot, k Ticket) bool { return s.Begin(k, seat) },
		"begin other": func(s *Slot, k Ticket) bool { return s.Begin(k, 1-seat) },
		"end":         func(s *Slot, k Ticket) bool { s.End(k, seat); return false },
		"end other":   func(s *Slot, k Ticket) bool { s.End(k, 1-seat); return false },
		"withdraw":    func(s *Slot, k Ticket) bool { return s.Withdraw(k) },
		"release":     func(s *Slot, k Ticket) bool { s.Release(k); return false },
		"sweep":       func(s *Slot, k Ticket) bool { s.book.Sweep(func(o Owner) bool { return o != me }); return false },
		"sweep alive": func(s *Slot, k Ticket) bool { s.book.Sweep(func(o Owner) bool { return o == me }); return false },
		"ended":       func(s *Slot, k Ticket) bool { s.book.Ended(s.index, seat); return false },
		"ended other": func(s *Slot, k Ticket) bool { s.book.Ended(s.index, 1-seat); return false },
	}
	// By operation: the state after free, sent, begun, ended, left, withdrawn; + where it says true.
	want := map[string]string{
		"begin":       "free begun+ begun ended left free",
		"begin other": "free begun+ begun ended left free",
		"end":         "free sent ended ended free withdrawn",
		"end other":   "free sent begun ended left withdrawn",
		"withdraw":    "free withdrawn+ begun ended left withdrawn+",
		"release":     "free free left free left free",
		"sweep":       "free free left free left free",
		"sweep alive": "free sent begun ended left withdrawn",
		"ended":       "free sent ended ended free withdrawn",
		"ended other": "free sent begun ended left withdrawn",
	}
	b := book(t)
	s := b.Slot(3)
	for name, op := range ops {
		got := ""
		for state := range names {
			k := reserved(t, s, me, 1)
			switch state {
			case begun, ended, left:
				s.Begin(k, seat)
			case withdrawn:
				s.Withdraw(k)
			case free:
				s.Release(k)
			}
			if state == ended {
				s.End(k, seat)
			}
			if state == left {
				s.Release(k)
			}
			ok := op(s, k)
			w := s.rows[0].Load()
			if state > 0 {
				got += " "
			}
			got += names[w&stateBits]
			if ok {
				got += "+"
			}
			if !sound(w) || (s.Taken(1) == 0) != isFree(w) || s.Taken(0) != s.Taken(1) {
				t.Errorf("%s of %s: %#x, %d and %d are taken", name, names[state], w, s.Taken(1), s.Taken(0))
			}
			s.rows[0].Store(freed(w))
			s.header.taken.Store(0)
		}
		if got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
	}
}

// TestBeginOfAnOldTicket: a request that waits in a socket for long does not take the row's next ticket, of the same owner or another.
func TestBeginOfAnOldTicket(t *testing.T) {
	t.Parallel()
	s := book(t).Slot(0)
	for _, owner := range []Owner{5, 6} {
		old := reserved(t, s, 5, 1)
		s.Release(old)
		k := reserved(t, s, owner, 1)
		if s.Begin(old, 0) || s.Withdraw(old) || s.State(old) != Unknown || s.State(k) != Sent {
			t.Fatalf("%v took %v: %v", old, k, s.State(k))
		}
		s.Release(old)
		s.End(old, 0)
		if !s.Begin(k, 0) || s.Begin(k, 1) {
			t.Fatal("a ticket does not begin once")
		}
		s.End(k, 0)
		s.Release(k)
	}
}

// TestLimit: goroutines with a book of their own each, as processes have, never have more rows than the limit, and all get some.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 4, counted + 8} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			b := book(t)
			var running, most, got atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				s := opened(t, b).Slot(9)
				wg.Go(func() {
					for range 2000 {
						k, ok := s.Reserve(OwnerOf(uint64(i)), limit)
						if !ok {
							continue
						}
						n := running.Add(1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
						s.Begin(k, 0)
						got.Add(1)
						running.Add(-1)
						if rand.IntN(2) == 0 {
							s.End(k, 0)
							s.Release(k)
						} else {
							s.Release(k)
							s.End(k, 0)
						}
					}
				})
			}
			wg.Wait()
			s := b.Slot(9)
			if most.Load() > int64(limit) || got.Load() == 0 || s.Taken(limit) != 0 || s.Taken(0) != 0 || s.Tickets() != got.Load() || s.Begun() != got.Load() {
				t.Errorf("%d at once of %d, %d in all; %d and %d are left, %d sent, %d begun", most.Load(), limit, got.Load(), s.Taken(limit), s.Taken(0), s.Tickets(), s.Begun())
			}
		})
	}
}

func TestReserveRefuses(t *testing.T) {
	t.Parallel()
	b := book(t)
	s := b.Slot(Slots - 1)
	for _, owner := range []Owner{0, mostOwner + 1} {
		if k, ok := s.Reserve(owner, 1); ok || !k.None() {
			t.Errorf("owner %d has %v", owner, k)
		}
	}
	all := map[Ticket]bool{}
	for range Rows {
		all[reserved(t, s, 1, Rows+1)] = true
	}
	if _, ok := s.Reserve(1, 0); ok || len(all) != Rows || s.Taken(0) != Rows {
		t.Errorf("%d tickets, %d taken, and one more: %v", len(all), s.Taken(0), ok)
	}
	if b.Slot(-1) != nil || b.Slot(Slots) != nil {
		t.Error("a slot out of range")
	}
	b.Ended(-1, 0)
	b.Ended(Slots, 0)
	for k := range all {
		if b.Slot(0).Begin(k, 0) || b.Slot(0).State(k) != Unknown {
			t.Fatal("a ticket of another slot")
		}
	}
}

func TestBeats(t *testing.T) {
	t.Parallel()
	s := book(t).Slot(0)
	if !s.Beats(1) {
		t.Error("a worker at rest, with nothing to do, is taken for stopped")
	}
	k := reserved(t, s, 1, 0)
	if s.Beats(1) {
		t.Error("a worker that has a request and does not beat is taken for running")
	}
	s.Beat(1, false)
	at := s.header.seats[1].beat.Load()
	if !s.Beats(at) || !s.Beats(at+int64(BeatStale)-1) || s.Beats(at+int64(BeatStale)) {
		t.Error("the age of the beat does not count")
	}
	s.Beat(1, true)
	s.Release(k)
	s.AddDirect(0, 2)
	s.AddDirect(1, 1)
	if s.Direct() != 3 || !s.Beats(at) {
		t.Errorf("%d direct", s.Direct())
	}
	s.book.Ended(0, 0)
	if s.Direct() != 1 {
		t.Errorf("%d direct after the end of a worker with 2", s.Direct())
	}
}

// TestHint: the hint is brought to what the rows say once it is off for longer than a moment.
func TestHint(t *testing.T) {
	t.Parallel()
	s := book(t).Slot(0)
	reserved(t, s, 1, 0)
	at := int64(1e9)
	for _, hint := range []int64{100, -3} {
		s.header.taken.Store(hint)
		s.Correct(at)
		if got := s.header.taken.Load(); got != hint {
			t.Errorf("corrected to %d at the first look", got)
		}
		s.Correct(at + 1)
		if got := s.header.taken.Load(); got != hint {
			t.Errorf("corrected to %d at a second look a moment later", got)
		}
		at += int64(lookEvery)
		s.Correct(at)
		at += int64(lookEvery)
		if s.Taken(0) != 1 {
			t.Errorf("%d are taken by the hint", s.Taken(0))
		}
	}
}

func BenchmarkReserveRelease(b *testing.B) {
	for _, limit := range []int{1, 8, 0} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			s := book(b).Slot(0)
			b.ReportAllocs()
			for b.Loop() {
				k, _ := s.Reserve(1, limit)
				s.Release(k)
			}
		})
	}
}

// BenchmarkWorker is the worker's part in a request.
func BenchmarkWorker(b *testing.B) {
	s := book(b).Slot(0)
	k, _ := s.Reserve(1, 8)
	text := k.String()
	b.ReportAllocs()
	for b.Loop() {
		s.rows[k.row].Store(k.word)
		k, ok := Parse(text)
		if !ok || !s.Begin(k, 0) {
			b.Fatal("not begun")
		}
		s.End(k, 0)
	}
}

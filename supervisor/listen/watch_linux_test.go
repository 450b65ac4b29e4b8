package listen

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// kinds are those that the system has, as what Options.Best is.
var watchedKinds = []Kind{KindEBPF, KindCBPF, KindHash}

func openKind(t testing.TB, kind Kind, slots int, addrs ...string) *Set {
	t.Helper()
	var as []Address
	for _, text := range addrs {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	o := Options{Best: kind}
	if kind == KindShared {
		o.Best = ""
	}
	s, err := Open(as, slots, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if got := s.Steering().Kind; got != kind {
		t.Skipf("NOT TESTED: kind %s is not to be had: %v", kind, s.Steering().Notes)
	}
	return s
}

// notices is where a watcher's notices go.
type notices chan Notice

func watch(t testing.TB, s *Set, pulse time.Duration) notices {
	t.Helper()
	n := make(notices, 1000)
	err := s.Watch(Watch{Pulse: pulse, Notify: func(x Notice) {
		select {
		case n <- x:
		default:
			t.Error("too many notices")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// want waits for the next notice that is not a pulse.
func (n notices) want(t testing.TB, what NoticeKind, slot int, within time.Duration) Notice {
	t.Helper()
	deadline := time.After(within)
	for {
		select {
		case x := <-n:
			if x.What == Pulse {
				continue
			}
			if x.What != what || x.Slot != slot {
				t.Fatalf("got notice %+v, want %s of slot %d", x, what, slot)
			}
			return x
		case <-deadline:
			t.Fatalf("no notice within %s, want %s of slot %d", within, what, slot)
		}
	}
}

func (n notices) wantNone(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case x := <-n:
		t.Fatalf("got notice %+v, want none", x)
	case <-time.After(d):
	}
}

func startLoad(t testing.TB, s *Set, perSecond int, d time.Duration) *peer {
	t.Helper()
	p := startPeer(t, "load", nil, s.Addresses()[0].Addr, strconv.Itoa(perSecond), d.String())
	p.line(t)
	p.say(t, "go")
	return p
}

// wantNoneFailed waits for the end of the load.
func wantNoneFailed(t testing.TB, load *peer) {
	t.Helper()
	result := load.line(t)
	var asked, failed int
	if n, err := fmt.Sscan(result, &asked, &failed); n != 2 || err != nil || asked == 0 || failed != 0 {
		t.Errorf("of the connections asked for and failed: %s", result)
	}
	t.Logf("connections, failed: %s", result)
}

// A worker is stopped: it is noticed, and that it goes on too.
func TestWatchStoppedWorker(t *testing.T) {
	for _, kind := range watchedKinds {
		t.Run(string(kind), func(t *testing.T) {
			s := openKind(t, kind, 3, "127.0.0.1:0")
			var workers []*peer
			for slot := range 3 {
				workers = append(workers, seatWorker(t, s, slot, 0, time.Millisecond, "counts"))
			}
			n := watch(t, s, 0)
			load := startLoad(t, s, 200, time.Minute)
			eventually.True(t, "all have accepted", func() bool {
				for slot := range 3 {
					if s.Board().Line(slot).Accepted[0].Load() == 0 {
						return false
					}
				}
				return true
			})
			workers[1].stop(t)
			x := n.want(t, Stalled, 1, 5*time.Second)
			t.Log(x.Why)
			if kind == KindCBPF {
				before, _ := s.Queue(1)
				accepted := func() uint64 { return s.Board().Line(0).Accepted[0].Load() + s.Board().Line(2).Accepted[0].Load() }
				was := accepted()
				eventually.True(t, "the others get connections", func() bool { return accepted() > was+30 })
				if after, _ := s.Queue(1); after != before {
					t.Errorf("%d new connections for a slot that does not accept", after-before)
				}
			}
			workers[1].proceed(t)
			n.want(t, Resumed, 1, 5*time.Second)
			was := s.Board().Line(1).Accepted[0].Load()
			eventually.True(t, "it accepts again", func() bool { return s.Board().Line(1).Accepted[0].Load() > was+10 })
			load.say(t, "stop")
			wantNoneFailed(t, load)
		})
	}
}

// A worker that has connections open is stopped, and nothing waits for it.
func TestWatchHeartbeat(t *testing.T) {
	s := openKind(t, KindCBPF, 2, "127.0.0.1:0")
	w := seatWorker(t, s, 0, 0, 0, "keep")
	n := watch(t, s, 0)
	if err := s.SteerTo([]int{0}); err != nil {
		t.Fatal(err)
	}
	knock(t, s)
	eventually.True(t, "it is accepted and idle", func() bool { l := s.Board().Line(0); return l.Held(0) == 1 })
	w.stop(t)
	x := n.want(t, Stalled, 0, 5*time.Second)
	t.Log(x.Why)
	w.proceed(t)
	n.want(t, Resumed, 0, 5*time.Second)
	w.stop(t)
	n.want(t, Stalled, 0, 5*time.Second)
	w.cmd.Process.Kill()
	w.end()
	s.Vacate(0, 0)
	n.want(t, Resumed, 0, 5*time.Second)
}

// A worker that never accepts is stalled, whether it counts or not; another one that takes its place is not.
func TestWatchDeafWorker(t *testing.T) {
	s := openKind(t, KindCBPF, 2, "127.0.0.1:0")
	w := seatWorker(t, s, 1, 0, 0, "deaf")
	n := watch(t, s, 0)
	if err := s.SteerTo([]int{1}); err != nil {
		t.Fatal(err)
	}
	knock(t, s)
	n.want(t, Stalled, 1, 5*time.Second)
	seatWorker(t, s, 1, 1, 0, "plain")
	eventually.True(t, "the queue is empty", func() bool { q, _ := s.Queue(1); return q == 0 })
	n.wantNone(t, 600*time.Millisecond) // the first one is no better for it
	w.end()
	s.Vacate(1, 0)
	n.want(t, Resumed, 1, 5*time.Second)
}

// A program that does not count is not stalled as long as its queue moves.
func TestWatchPlainWorker(t *testing.T) {
	s := openKind(t, KindHash, 1, "127.0.0.1:0")
	seatWorker(t, s, 0, 0, time.Millisecond, "plain")
	n := watch(t, s, 0)
	load := startLoad(t, s, 300, 1500*time.Millisecond)
	n.wantNone(t, 1500*time.Millisecond)
	wantNoneFailed(t, load)
}

// Workers that share a Unix-domain socket.
func TestWatchSharedSocket(t *testing.T) {
	s := openKind(t, KindShared, 2, "unix:"+filepath.Join(t.TempDir(), "x.sock"))
	a := seatWorker(t, s, 0, 0, 0, "counts")
	b := seatWorker(t, s, 1, 0, 0, "counts")
	n := watch(t, s, 0)
	at := s.Addresses()[0]
	eventually.True(t, "both have accepted", func() bool {
		if _, err := ask(at); err != nil {
			t.Fatal(err)
		}
		return s.Board().Line(0).Accepted[0].Load() > 0 && s.Board().Line(1).Accepted[0].Load() > 0
	})
	a.stop(t)
	b.stop(t)
	answer := make(chan error, 1)
	go func() {
		_, err := ask(at)
		answer <- err
	}()
	n.want(t, Stalled, 0, 5*time.Second)
	n.want(t, Stalled, 1, 5*time.Second)
	a.proceed(t)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	n.want(t, Resumed, 0, 5*time.Second)
	n.want(t, Resumed, 1, 5*time.Second)
}

// At rest nothing wakes the process, and the first connection does.
func TestWatchRestsAndWakes(t *testing.T) {
	for _, kind := range watchedKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := openKind(t, kind, 4, "127.0.0.1:0")
			for slot := range 4 {
				seatWorker(t, s, slot, 0, time.Millisecond, "counts")
			}
			n := watch(t, s, time.Millisecond)
			load := startLoad(t, s, 100, 300*time.Millisecond)
			wantNoneFailed(t, load)
			wantRest(t, s, n)
			if _, err := ask(s.Addresses()[0]); err != nil {
				t.Fatal(err)
			}
			wantPulse(t, n)
		})
	}
}

// wantRest returns when the watcher has not looked, nor told anything, for longer than it sleeps as long as anything is to be
// seen. On a machine that is busy the looks before that may come late.
func wantRest(t testing.TB, s *Set, n notices) {
	t.Helper()
	looks := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.observer.(*watcher).looks
	}
	deadline := time.Now().Add(2 * eventually.Patience())
	for before, since := looks(), time.Now(); time.Since(since) < tickQuiet+tickLoad; {
		select {
		case <-n:
		case <-time.After(tickLoad / 4):
		}
		switch now := looks(); {
		case now != before:
			before, since = now, time.Now()
		case len(n) > 0:
			since = time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("looked %d times, and does not rest", before)
		}
	}
}

// wantPulse waits for a notice, which is to be a pulse.
func wantPulse(t testing.TB, n notices) {
	t.Helper()
	select {
	case x := <-n:
		if x.What != Pulse {
			t.Errorf("got %+v, want a pulse", x)
		}
	case <-time.After(eventually.Patience()):
		t.Error("a connection did not wake the watcher")
	}
}

// A connection that was accepted before the doorbell could ring is only seen on the board.
func TestWatchIsWokenByWhoAccepts(t *testing.T) {
	s := openKind(t, KindHash, 2, "127.0.0.1:0")
	s.Wake() // no goroutine watches
	s.Seat(1, 0, workerID.Add(1))
	n := watch(t, s, time.Millisecond)
	h, l := s.Board().Header(), s.Board().Line(1)
	for range 2 {
		wantRest(t, s, n)
		asleep := h.Asleep.Load()
		if now := ipc.Monotonic(); asleep <= 0 || asleep > now-int64(tickQuiet) {
			t.Errorf("at %d it is asleep since %d", now, asleep)
		}
		l.Accepted[0].Add(1)
		l.Released[0].Add(ipc.Weight)
		s.Wake()
		wantPulse(t, n)
		if at := h.Asleep.Load(); at == asleep {
			t.Error("it has slept on")
		}
	}
	s.Close()
	s.Wake()
}

// A connection is counted at any moment while the watcher falls asleep: either that sees it, or who counts sees that it sleeps.
func TestWatchSleepsOverNobody(t *testing.T) {
	s := openKind(t, KindHash, 1, "127.0.0.1:0")
	w := lookout(t, s)
	s.mu.Lock()
	s.observer = w
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.observer = nil
		s.mu.Unlock()
	}()
	h, l := s.Board().Header(), s.Board().Line(0)
	start, counted := make(chan int), make(chan bool)
	defer close(start)
	go func() {
		for spin := range start {
			for range spin {
				l.Flags.Load()
			}
			l.Accepted[0].Add(1)
			tells := h.Asleep.Load() != 0
			if tells {
				s.Wake()
			}
			counted <- tells
		}
	}()
	told := 0
	const rounds = 2000
	for range rounds {
		w.look(false)
		start <- rand.IntN(20_000)
		began := time.Now()
		if _, err := w.sleep(eventually.Patience(), true, w.quiet); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) >= eventually.Patience() {
			t.Fatal("it slept over a connection")
		}
		if <-counted {
			told++
		}
		if at := h.Asleep.Load(); at != 0 {
			t.Fatalf("awake, it is said to be asleep since %d", at)
		}
	}
	t.Logf("told %d times of %d", told, rounds)
}

func TestWatchPulses(t *testing.T) {
	const pulse = 300 * time.Millisecond
	s := openKind(t, KindCBPF, 2, "127.0.0.1:0")
	seatWorker(t, s, 0, 0, time.Millisecond, "counts")
	seatWorker(t, s, 1, 0, time.Millisecond, "counts")
	n := watch(t, s, pulse)
	n.wantNone(t, pulse)
	load := startLoad(t, s, 50, 1500*time.Millisecond)
	var at []time.Time
	for done := false; !done; {
		select {
		case x := <-n:
			if x.What != Pulse {
				t.Fatalf("got %+v, want a pulse", x)
			}
			at = append(at, time.Now())
		case <-time.After(2 * time.Second):
			done = true
		}
	}
	wantNoneFailed(t, load)
	if len(at) < 4 || len(at) > 7 {
		t.Errorf("%d pulses in 1.5 s, want about one each %s and one after the end", len(at), pulse)
	}
	for i := 1; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d < pulse-50*time.Millisecond {
			t.Errorf("pulse %d comes %s after the one before", i, d)
		}
	}
}

// A single request that hangs moves nothing on the board. It is told of as often as was asked for all the same, also if that
// was changed while it hangs.
func TestWatchPulsesForOneThatHangs(t *testing.T) {
	for _, kind := range watchedKinds {
		s := openKind(t, kind, 1, "127.0.0.1:0")
		w := lookout(t, s)
		w.setPulse(50 * time.Millisecond)
		s.Seat(0, 0, 1)
		s.Board().Line(0).Accepted[0].Add(1)
		w.look(true)
		for i := range 20 {
			w.pace.loadUntil = 0 // nothing has changed for long
			w.pulsed -= int64(time.Hour)
			before := w.pulsed
			if next, _ := w.look(false); next > 50*time.Millisecond || w.pulsed == before {
				t.Fatalf("kind %s: look %d: the next is after %s, want 50ms", kind, i, next)
			}
		}
	}
}

// Leaked counts are corrected while nothing else happens.
func TestWatchCorrects(t *testing.T) {
	s := openKind(t, KindEBPF, 2, "127.0.0.1:0")
	seatWorker(t, s, 0, 0, time.Millisecond, "counts")
	seatWorker(t, s, 1, 0, time.Millisecond, "counts")
	watch(t, s, 0)
	l := s.Board().Line(1)
	was := s.Board().Header().StaleAfter.Load()
	l.Assigned.Add(20000) // as by handshakes that are never finished
	for range 4 {
		if _, err := ask(s.Addresses()[0]); err != nil {
			t.Fatal(err)
		}
	}
	load := func() int64 {
		return int64(l.Assigned.Load()*ipc.Weight - l.Released[0].Load() - l.Released[1].Load())
	}
	if load() < 20000*ipc.Busy {
		t.Fatalf("load is %d right after", load())
	}
	eventually.True(t, "the leak is corrected", func() bool { return load() == 0 })
	if h := l.Held(0); h != 0 {
		t.Errorf("the seat is said to hold %d", h)
	}
	if got := s.Board().Header().StaleAfter.Load(); got != 0 {
		t.Errorf("in a flood slots are stale after %d ns", got)
	}
	eventually.True(t, "the flood is over", func() bool { return s.Board().Header().StaleAfter.Load() == was })
}

// Slots come and go under load, watched; and the doorbell is on those that are there.
func TestWatchScales(t *testing.T) {
	for _, kind := range watchedKinds {
		t.Run(string(kind), func(t *testing.T) {
			s := openKind(t, kind, 2, "127.0.0.1:0")
			seatWorker(t, s, 0, 0, time.Millisecond, "counts")
			seatWorker(t, s, 1, 0, time.Millisecond, "counts")
			n := watch(t, s, 0)
			load := startLoad(t, s, 200, time.Minute)
			for slot := 2; slot < 64; slot++ {
				if err := s.OpenSlot(slot); err != nil {
					t.Fatal(err)
				}
				s.Seat(slot, 0, workerID.Add(1))
				startWorker(t, s, slot) // in this process, and not on the board
			}
			if err := s.SteerTo(first(64)); err != nil {
				t.Fatal(err)
			}
			n.wantNone(t, 300*time.Millisecond)
			if err := s.SteerTo(first(2)); err != nil {
				t.Fatal(err)
			}
			for slot := 63; slot >= 2; slot-- {
				empty := 0
				eventually.True(t, "the queue is empty", func() bool {
					if q, err := s.Queue(slot); err != nil || q > 0 {
						empty = 0
					} else {
						empty++
					}
					return empty >= 5
				})
				s.Vacate(slot, 0)
				if err := s.CloseSlot(slot); err != nil {
					t.Fatal(err)
				}
			}
			load.say(t, "stop")
			wantNoneFailed(t, load)
		})
	}
}

func TestWatchOnce(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	watch(t, s, 0)
	if err := s.Watch(Watch{}); err == nil {
		t.Error("a Set was watched twice")
	}
	s.Close()
	if err := s.Watch(Watch{}); err == nil {
		t.Error("a closed Set was watched")
	}
	s.Close()
}

// Notices come from the kind that has fallen too, also at rest.
func TestWatchTellsOfAFall(t *testing.T) {
	s := openKind(t, KindCBPF, 2, "127.0.0.1:0")
	n := watch(t, s, 0)
	s.mu.Lock()
	s.observer.fell(Notice{What: Fell, Kind: KindHash, Why: "test"})
	s.mu.Unlock()
	if x := n.want(t, Fell, 0, eventually.Patience()); x.Kind != KindHash || x.Why != "test" {
		t.Errorf("got %+v", x)
	}
}

// A look costs no memory.
func TestWatchLooksWithoutAllocating(t *testing.T) {
	for _, kind := range watchedKinds {
		s := openKind(t, kind, 4, "127.0.0.1:0")
		w := lookout(t, s)
		if n := testing.AllocsPerRun(100, func() { w.look(false) }); n > 0 {
			t.Errorf("kind %s: %v allocations a look", kind, n)
		}
	}
}

// lookout is a watcher whose goroutine is the test.
func lookout(t testing.TB, s *Set) *watcher {
	t.Helper()
	bell, err := newDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bell.close)
	w := &watcher{set: s, bell: bell, ended: make(chan struct{})}
	s.mu.Lock()
	w.changed()
	s.mu.Unlock()
	w.look(false)
	return w
}

func BenchmarkWatchLook(b *testing.B) {
	for _, slots := range []int{4, 64, 256, 1024} {
		for _, kind := range watchedKinds[:2] {
			b.Run(string(kind)+"/"+strconv.Itoa(slots), func(b *testing.B) {
				s := openKind(b, kind, slots, "127.0.0.1:0")
				for slot := range slots {
					s.Seat(slot, 0, workerID.Add(1))
				}
				w := lookout(b, s)
				b.ReportAllocs()
				for b.Loop() {
					w.asked = tickFast
					w.look(false)
				}
			})
		}
	}
}

// BenchmarkWatchCost is what a process costs that has nothing but a Set, watched, beside workers in other processes. An
// iteration is one second under load.
func BenchmarkWatchCost(b *testing.B) {
	for _, c := range []struct {
		kind  Kind
		slots int
		rate  int // connections a second
	}{{KindCBPF, 4, 1000}, {KindEBPF, 4, 1000}, {KindCBPF, 256, 200}} {
		b.Run(fmt.Sprintf("%s/%d", c.kind, c.slots), func(b *testing.B) {
			m := startPeer(b, "master", nil, string(c.kind), strconv.Itoa(c.slots))
			defer m.end()
			addr := m.line(b)
			if strings.HasPrefix(addr, "no") {
				b.Skip("NOT TESTED: ", addr)
			}
			cost := func() (us, sleeps, looks, changes int) {
				m.say(b, "cost")
				if _, err := fmt.Sscan(m.line(b), &us, &sleeps, &looks, &changes); err != nil {
					b.Fatal(err)
				}
				return
			}
			load := startPeer(b, "load", nil, addr, strconv.Itoa(c.rate), time.Hour.String())
			load.line(b)
			load.say(b, "go")
			us, sleeps, looks, changes := cost()
			for b.Loop() {
				<-time.After(time.Second)
			}
			us2, sleeps2, looks2, changes2 := cost()
			seconds := b.Elapsed().Seconds()
			b.ReportMetric(float64(us2-us)/seconds/1e4, "%core")
			b.ReportMetric(float64(sleeps2-sleeps)/seconds, "sleeps/s")
			b.ReportMetric(float64(looks2-looks)/seconds, "looks/s")
			b.ReportMetric(float64(changes2-changes)/seconds, "changes/s")
			load.say(b, "stop")
			b.Log("connections, failed, p99, over 50 ms: ", load.line(b))
		})
	}
}

// BenchmarkWatchLatency stops one of four workers for half of each second, which is an iteration: what waits in its queue then
// was sent to it before the stall was noticed.
func BenchmarkWatchLatency(b *testing.B) {
	for _, kind := range []Kind{KindHash, KindCBPF, KindEBPF} {
		b.Run(string(kind), func(b *testing.B) {
			s := openKind(b, kind, 4, "127.0.0.1:0")
			var stuck *peer
			for slot := range 4 {
				stuck = seatWorker(b, s, slot, 0, 3*time.Millisecond, "counts")
			}
			watch(b, s, 0)
			load := startLoad(b, s, 1200, time.Hour)
			waiting := 0
			for b.Loop() {
				<-time.After(500 * time.Millisecond)
				stuck.stop(b)
				<-time.After(500 * time.Millisecond)
				n, _ := s.Queue(3)
				waiting += n
				stuck.proceed(b)
			}
			b.ReportMetric(float64(waiting)/float64(b.N), "queued/stop")
			load.say(b, "stop")
			b.Log("connections, failed, p99, over 50 ms: ", load.line(b))
		})
	}
}

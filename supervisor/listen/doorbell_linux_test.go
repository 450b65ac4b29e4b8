package listen

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

func hang(t *testing.T, s *Set) *doorbell {
	t.Helper()
	b, err := newDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	rehang(t, b, s)
	return b
}

func rehang(t *testing.T, b *doorbell, s *Set) {
	t.Helper()
	var all []*os.File
	for slot := range s.Slots() {
		_, files := s.files(slot)
		all = append(all, files...)
	}
	if err := b.hang(all); err != nil {
		t.Fatal(err)
	}
}

func knock(t *testing.T, s *Set) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addresses()[0].Addr, eventually.Patience())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantRing(t *testing.T, b *doorbell, arm, want bool, d time.Duration) {
	t.Helper()
	if rang, err := b.wait(d, arm, nil); err != nil || rang != want {
		t.Fatalf("the doorbell rang %v, %v; want %v", rang, err, want)
	}
}

const soon = 20 * time.Millisecond

func TestDoorbellRings(t *testing.T) {
	s := mustOpen(t, 3, "127.0.0.1:0")
	b := hang(t, s)
	knock(t, s)
	wantRing(t, b, false, false, soon)
	wantRing(t, b, true, true, eventually.Patience()) // a connection waits already
	wantRing(t, b, false, false, soon)
	var slots []net.Listener
	for slot := range 3 {
		l := listeners(t, s, slot)[0]
		defer l.Close()
		slots = append(slots, l)
	}
	empty := func() {
		t.Helper()
		for slot, waiting := range queues(t, s) {
			for range waiting {
				c, err := slots[slot].Accept()
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
		}
	}
	empty()
	wantRing(t, b, true, false, soon) // no connection waits any more
	for range 50 {
		rings := make(chan bool)
		armed := make(chan struct{})
		go func() {
			rang, _ := b.wait(eventually.Patience(), true, func() bool { close(armed); return true })
			rings <- rang
		}()
		<-armed
		knock(t, s)
		if !<-rings {
			t.Fatal("the doorbell did not ring for a connection that waits")
		}
		empty()
	}
	wantRing(t, b, true, false, soon)
	wantRing(t, b, false, false, soon)
	knock(t, s)
	wantRing(t, b, false, false, soon)
}

// What has changed before it was armed is not slept over.
func TestDoorbellAsksOnceArmed(t *testing.T) {
	b := hang(t, mustOpen(t, 1, "127.0.0.1:0"))
	if rang, err := b.wait(0, true, func() bool { return false }); rang || err != nil {
		t.Errorf("%v, %v; want that it did not ring", rang, err)
	}
}

// A socket that is closed here but held by a worker must not ring any more, one that is opened must.
func TestDoorbellFollowsTheSlots(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	held := listeners(t, s, 1)
	defer held[0].Close()
	b := hang(t, s)
	if err := s.SteerTo([]int{1}); err != nil {
		t.Fatal(err)
	}
	knock(t, s) // waits in slot 1
	if err := s.CloseSlot(1); err != nil {
		t.Fatal(err)
	}
	rehang(t, b, s)
	wantRing(t, b, true, false, soon)
	held[0].Close() // the kernel counts it until then
	for slot := 1; slot < 20; slot++ {
		if err := s.OpenSlot(slot); err != nil {
			t.Fatal(err)
		}
		rehang(t, b, s)
	}
	if err := s.SteerTo([]int{19}); err != nil {
		t.Fatal(err)
	}
	knock(t, s)
	wantRing(t, b, true, true, eventually.Patience())
}

func TestDoorbellEnds(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	b := hang(t, s)
	ended := make(chan error)
	go func() {
		_, err := b.wait(0, true, nil)
		ended <- err
	}()
	b.nudge()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := b.wait(0, true, nil)
		ended <- err
	}()
	b.close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("wait ended with %v, want %v", err, os.ErrClosed)
	}
	if err := b.hang(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("hang after close: %v, want %v", err, os.ErrClosed)
	}
	b.set(true)
	b.close()
}

// A nudge is not lost between two waits.
func TestDoorbellKeepsANudge(t *testing.T) {
	b := hang(t, mustOpen(t, 1, "127.0.0.1:0"))
	for range 100 {
		b.nudge()
		wantRing(t, b, true, false, 0)
	}
}

// A call is a ring, and is not lost between two waits either. A nudge is none.
func TestDoorbellIsCalled(t *testing.T) {
	b := hang(t, mustOpen(t, 1, "127.0.0.1:0"))
	for range 100 {
		b.call()
		wantRing(t, b, true, true, eventually.Patience())
		b.nudge()
		wantRing(t, b, true, false, 0)
		armed := make(chan struct{})
		called := make(chan struct{})
		go func() {
			defer close(called)
			<-armed
			b.call()
		}()
		rang, err := b.wait(eventually.Patience(), true, func() bool { close(armed); return true })
		if !rang || err != nil {
			t.Fatalf("%v, %v; want that it rang", rang, err)
		}
		<-called
	}
}

// Connections from elsewhere do not wake this process unless the doorbell is armed.
func TestDoorbellThatIsNotArmedWakesNobody(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	b := hang(t, s)
	waits := make(chan bool)
	go func() {
		b.wait(0, false, nil)
		rang, _ := b.wait(0, true, nil)
		waits <- rang
	}()
	client := startPeer(t, "client", nil, s.Addresses()[0].Addr, "1")
	client.line(t) // it has connected once
	const n = 300
	before := wakeups(t)
	client.say(t, n)
	client.line(t)
	// What waits for the answer is woken too, the collector may run, and on a busy machine it takes so long that the runtime
	// looks after its threads now and then.
	if d := wakeups(t) - before; d > n/2 {
		t.Errorf("%d connections woke the process %d times", n, d)
	}
	b.nudge()
	if !<-waits {
		t.Error("armed while connections wait, it did not ring")
	}
}

// wakeups is how often threads of this process have slept so far.
func wakeups(t *testing.T) int {
	t.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	return int(ru.Nvcsw)
}

func BenchmarkDoorbellArm(b *testing.B) {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 256, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bell, err := newDoorbell()
	if err != nil {
		b.Fatal(err)
	}
	defer bell.close()
	if err := bell.hang(s.groups[0].sockets); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bell.wait(time.Nanosecond, true, nil); err != nil {
			b.Fatal(err)
		}
		bell.set(false)
	}
}

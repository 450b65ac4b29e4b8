package listen

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

func dial(t *testing.T, s *Set) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addresses()[0].Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantRing(t *testing.T, b *doorbell, want bool, d time.Duration) {
	t.Helper()
	if rang, err := b.wait(d); err != nil || rang != want {
		t.Fatalf("the doorbell rang %v, %v; want %v", rang, err, want)
	}
}

func TestDoorbellRingsOnceWhenArmed(t *testing.T) {
	s := mustOpen(t, 3, "127.0.0.1:0")
	b := hang(t, s)
	dial(t, s)
	wantRing(t, b, false, 20*time.Millisecond) // not armed
	b.arm(true)
	wantRing(t, b, true, patience) // somebody waits already
	wantRing(t, b, false, 20*time.Millisecond)
	for slot := range 3 {
		startWorker(t, s, slot)
	}
	eventually(t, "the queues are empty", func() bool { return queued(t, s) == 0 })
	b.arm(true)
	wantRing(t, b, false, 20*time.Millisecond) // nobody waits any more
	rings := make(chan bool)
	go func() {
		rang, _ := b.wait(patience)
		rings <- rang
	}()
	dial(t, s)
	if !<-rings {
		t.Error("the doorbell did not ring while somebody waited for it")
	}
	b.arm(true)
	b.arm(false)
	dial(t, s)
	wantRing(t, b, false, 20*time.Millisecond)
}

func queued(t *testing.T, s *Set) (sum int) {
	t.Helper()
	for slot := range s.Slots() {
		n, err := s.Queue(slot)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
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
	dial(t, s) // waits in slot 1
	if err := s.CloseSlot(1); err != nil {
		t.Fatal(err)
	}
	rehang(t, b, s)
	b.arm(true)
	wantRing(t, b, false, 20*time.Millisecond)
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
	dial(t, s)
	wantRing(t, b, true, patience)
}

func TestDoorbellEnds(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	b := hang(t, s)
	ended := make(chan error)
	go func() {
		_, err := b.wait(0)
		ended <- err
	}()
	b.nudge()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := b.wait(0)
		ended <- err
	}()
	b.close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("wait ended with %v, want %v", err, os.ErrClosed)
	}
	if err := b.hang(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("hang after close: %v, want %v", err, os.ErrClosed)
	}
	b.arm(true)
	b.close()
}

// A nudge is not lost between two waits.
func TestDoorbellKeepsANudge(t *testing.T) {
	b := hang(t, mustOpen(t, 1, "127.0.0.1:0"))
	for range 100 {
		b.nudge()
		wantRing(t, b, false, 0)
	}
}

// Connections do not wake this process unless the doorbell is armed: the kernel counts how often the threads were woken.
func TestDoorbellThatIsNotArmedWakesNobody(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	b := hang(t, s)
	waits := make(chan bool)
	go func() {
		rang, _ := b.wait(0)
		waits <- rang
	}()
	connect := connector(t, s)
	var ru unix.Rusage
	switches := func() int64 {
		if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
			t.Fatal(err)
		}
		return ru.Nvcsw
	}
	connect(1) // warm
	const n = 200
	before := switches()
	connect(n)
	if d := switches() - before; d > n/10 {
		t.Errorf("%d connections gave the processor up %d times", n, d)
	}
	b.arm(true)
	if !<-waits {
		t.Error("armed while connections wait, it did not ring")
	}
}

// connector makes connections that nobody accepts, by blocking system calls on the loopback: they do not wait for anybody.
func connector(t *testing.T, s *Set) func(n int) {
	_, port, err := net.SplitHostPort(s.Addresses()[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	at := &unix.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}
	var fds []int
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	return func(n int) {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
			if err := unix.Connect(fd, at); err != nil {
				t.Fatal(err)
			}
		}
	}
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
		bell.arm(true)
		if _, err := bell.wait(time.Nanosecond); err != nil {
			b.Fatal(err)
		}
		bell.arm(false)
	}
}

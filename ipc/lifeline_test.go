package ipc

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// lifeline returns both ends of one. The worker's end comes by the environment, as it does in a worker.
func lifeline(t *testing.T) (*Lifeline, *Renewals) {
	t.Helper()
	l, child, err := NewLifeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	fd, err := Descriptor(child)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	child.Close()
	t.Setenv(EnvLifeline, strconv.Itoa(inherited))
	r, err := RenewalsFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, ok := os.LookupEnv(EnvLifeline); ok {
		t.Error("the variable is still there for children")
	}
	return l, r
}

func TestLifelineRenewsTheChannel(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	for i := range 3 {
		m, err := l.Renew()
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(Hello{Protocol: Protocol, PID: i, State: StateReady, Slot: 3, Seat: 1, Epoch: 7}); err != nil {
			t.Fatal(err)
		}
		want := Hello{Protocol: Protocol, PID: i, State: StateReady, Slot: 3, Seat: 1, Epoch: 7}
		if h := next[Hello](t, m); h != want {
			t.Errorf("got %+v, want %+v", h, want)
		}
		m.Close()
		w.Close()
	}
}

// Masters that died before the worker looked leave their channels on the lifeline, each at its end, and the last one counts.
func TestLifelineKeepsTheOrderOfMasters(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	dead, err := l.Renew()
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	alive, err := l.Renew()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(); err != io.EOF {
		t.Errorf("channel of a dead master: %v, want %v", err, io.EOF)
	}
	first.Close()
	second, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if _, err := alive.Read(); err != io.EOF {
		t.Errorf("the living master's channel: %v, want %v", err, io.EOF)
	}
}

// The file of a lifeline can be held by another process: only when the last copy is closed the worker knows that no
// master will come.
func TestLifelineEndsWithItsLastHolder(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	kept := duplicateOf(t, l.File())
	l.Close()
	again, err := OpenLifeline(kept)
	if err != nil {
		t.Fatal(err)
	}
	c, err := again.Renew()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	w, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := async(func() error {
		_, err := r.Next()
		return err
	})
	again.Close()
	if err := eventually.Receive(t, "end of the lifeline", ended); err != io.EOF {
		t.Errorf("%v, want %v", err, io.EOF)
	}
}

// What a worker has said before it ended is there for each master that comes later, and for one that has closed the lifeline.
func TestLifelineTellsWhoHasLeft(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	again, err := OpenLifeline(duplicateOf(t, l.File()))
	if err != nil {
		t.Fatal(err)
	}
	if l.Left() {
		t.Error("left before it said so")
	}
	if err := r.Leave(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for range 2 { // also when it is asked again
		if !l.Left() {
			t.Error("who has left has not")
		}
	}
	again.Close()
	l.Close()
	if !l.Left() || !again.Left() {
		t.Error("it is forgotten when the lifeline is closed")
	}
}

// A worker that fills its lifeline does not wait for a reader, and one that only ends has not left.
func TestLifelineOfWhoSaysItForEver(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	r.Close()
	if l.Left() {
		t.Error("the end of a worker says that it has left")
	}
	l.Close()
	l, r = lifeline(t)
	defer l.Close()
	var err error
	for n := 0; err == nil && n < 100_000_000; n++ {
		err = r.Leave()
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("%v, want %v", err, unix.EAGAIN)
	}
	if c, err := l.Renew(); err != nil {
		t.Errorf("it keeps out a channel: %v", err)
	} else {
		c.Close()
	}
}

func TestLifelineOfAWorkerThatIsGone(t *testing.T) {
	keepsFDs(t)
	l, r := lifeline(t)
	r.Close()
	if _, err := r.Next(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
	if c, err := l.Renew(); !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v, %v, want %v", c, err, unix.EPIPE)
	}
}

// A worker that is stopped costs a master an error, not its time.
func TestLifelineThatNobodyReads(t *testing.T) {
	keepsFDs(t)
	l, _ := lifeline(t)
	var err error
	n := 0
	for ; err == nil && n < 100_000; n++ {
		var c *Conn
		if c, err = l.Renew(); err == nil {
			c.Close()
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || n < 50 {
		t.Errorf("after %d masters: %v, want %v", n, err, os.ErrDeadlineExceeded)
	}
}

func TestLifelineRefusesOtherThings(t *testing.T) {
	keepsFDs(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLifeline(null); err == nil || !strings.Contains(err.Error(), "is a character device") {
		t.Errorf("a device as lifeline: %v", err)
	}
	for name, send := range map[string]func(fd int) error{
		"no descriptor":   func(fd int) error { return unix.Sendmsg(fd, []byte{0}, nil, nil, 0) },
		"two descriptors": func(fd int) error { return unix.Sendmsg(fd, []byte{0}, unix.UnixRights(fd, fd), nil, 0) },
		"a device": func(fd int) error {
			null, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			defer null.Close()
			n, err := Descriptor(null)
			if err != nil {
				return err
			}
			return unix.Sendmsg(fd, []byte{0}, unix.UnixRights(n), nil, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, r := lifeline(t)
			fd, err := Descriptor(l.File())
			if err != nil {
				t.Fatal(err)
			}
			if err := send(fd); err != nil {
				t.Fatal(err)
			}
			if c, err := r.Next(); err == nil || err == io.EOF {
				t.Errorf("%v, %v, want an error", c, err)
			}
		})
	}
}

func duplicateOf(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := Descriptor(f)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(n), "kept")
}

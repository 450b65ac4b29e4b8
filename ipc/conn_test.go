package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestEachFrameOverASocket(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	for _, f := range fixtures(t) {
		if err := a.Write(f); err != nil {
			t.Fatal(err)
		}
		got, err := b.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !sameFrame(t, got, f) {
			t.Errorf("got %#v, sent %#v", got, f)
		}
		Discard(got)
	}
}

func TestAssignCarriesSockets(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	var sent Assign
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		rc, err := ln.(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var f *os.File
		if err := rc.Control(func(fd uintptr) {
			n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
			if err != nil {
				t.Error(err)
			}
			f = os.NewFile(uintptr(n), "slot")
		}); err != nil {
			t.Fatal(err)
		}
		sent.Files = append(sent.Files, f)
		sent.Listeners = append(sent.Listeners, Listener{"tcp", ln.Addr().String()})
	}
	sent.Slot = 7
	if err := a.Write(sent); err != nil {
		t.Fatal(err)
	}
	Discard(sent)
	got := next[Assign](t, b)
	defer Discard(got)
	if !sameFrame(t, got, sent) {
		t.Fatalf("got %#v", got)
	}
	for i, f := range got.Files {
		fd, err := Descriptor(f)
		if err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is inherited by children (%#x, %v)", i, flags, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("descriptor %d was made blocking for all who share it (%#x, %v)", i, flags, err)
		}
		ln, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		if ln.Addr().String() != sent.Listeners[i].Address {
			t.Errorf("listener %d is %s, not %s", i, ln.Addr(), sent.Listeners[i].Address)
		}
		ln.Close()
	}
}

func TestLargePayloadIsOneFile(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	p := newPayload(t, pattern(5<<20, 9))
	defer p.Release()
	if err := a.Write(Set{Key: "big", Payload: p}); err != nil {
		t.Fatal(err)
	}
	got := next[Set](t, b).Payload
	defer got.Release()
	got.Prepare()
	if !got.Equal(p) || got.Len() != 5<<20 || string(content(t, got)) != string(content(t, p)) {
		t.Error("changed on the way")
	}
	var x, y unix.Stat_t
	if err := errors.Join(unix.Fstat(p.descriptor(), &x), unix.Fstat(got.descriptor(), &y)); err != nil {
		t.Fatal(err)
	}
	if x.Ino != y.Ino || x.Dev != y.Dev {
		t.Error("the receiver has a copy")
	}
}

// TestShortReads feeds frames byte by byte, so that each boundary is met.
func TestShortReads(t *testing.T) {
	a, raw := rawChannel(t)
	var wire []byte
	for _, f := range fixtures(t) {
		if f.frameType() != TypeAssign {
			wire, _ = appendFrame(wire, f)
		}
	}
	sent := async(func() error {
		for i := range wire {
			if _, err := raw.Write(wire[i : i+1]); err != nil {
				return err
			}
		}
		return raw.CloseWrite()
	})
	for _, f := range fixtures(t) {
		if f.frameType() == TypeAssign {
			continue
		}
		got, err := a.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !sameFrame(t, got, f) {
			t.Errorf("got %#v, sent %#v", got, f)
		}
	}
	if _, err := a.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := eventually.Receive(t, "sending", sent); err != nil {
		t.Error(err)
	}
}

// TestManySizes lets frames of all sizes meet all fill levels of the read buffer, with descriptors in between.
func TestManySizes(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	sizes := []int{0, 1, 10, smallBuffer - 30, smallBuffer, smallBuffer + 1, 12000, HeapMax, HeapMax + 1, 100000, 3, 15000, 7}
	sent := async(func() error {
		for i := range 400 {
			n := sizes[(i*7+i/13)%len(sizes)]
			p, err := NewPayload(pattern(n, byte(i)))
			if err == nil {
				err = a.Write(Message{Topic: fmt.Sprint(i), Payload: p})
				p.Release()
			}
			if err != nil {
				return err
			}
		}
		return a.Close()
	})
	for i := range 400 {
		m := next[Message](t, b)
		n := sizes[(i*7+i/13)%len(sizes)]
		if m.Topic != fmt.Sprint(i) || string(content(t, m.Payload)) != string(pattern(n, byte(i))) {
			t.Fatalf("message %d: topic %s, %d bytes, %d were sent", i, m.Topic, m.Payload.Len(), n)
		}
		m.Payload.Release()
	}
	if _, err := b.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := eventually.Receive(t, "sending", sent); err != nil {
		t.Error(err)
	}
}

// TestWritersDoNotMix: frames of several writers arrive whole.
func TestWritersDoNotMix(t *testing.T) {
	a, b := channel(t)
	const writers, each = 4, 50
	errs := make(chan error, writers)
	for w := range writers {
		p := newPayload(t, pattern(HeapMax, byte(w)))
		go func() {
			var err error
			for i := 0; i < each && err == nil; i++ {
				err = a.Write(Call{ID: uint64(i), Method: string(rune('a' + w)), Payload: p})
			}
			errs <- err
		}()
	}
	var seen [writers]uint64
	for range writers * each {
		c := next[Call](t, b)
		w := c.Method[0] - 'a'
		if c.ID != seen[w] || string(content(t, c.Payload)) != string(pattern(HeapMax, w)) {
			t.Fatalf("writer %d: call %d mixed up", w, c.ID)
		}
		seen[w]++
	}
	for range writers {
		if err := eventually.Receive(t, "writing", errs); err != nil {
			t.Error(err)
		}
	}
}

func TestIdleBufferIsSmall(t *testing.T) {
	a, b := channel(t)
	if err := a.Write(Message{Topic: "t", Payload: newPayload(t, pattern(HeapMax, 1))}); err != nil {
		t.Fatal(err)
	}
	next[Message](t, b)
	waiting := async(func() error { _, err := b.Read(); return err })
	if err := a.Write(Ready{}); err != nil { // the reader's next wait comes after it has shrunk
		t.Fatal(err)
	}
	if err := eventually.Receive(t, "reading", waiting); err != nil {
		t.Fatal(err)
	}
	if b.large != nil || len(b.buf) != smallBuffer {
		t.Errorf("keeps a buffer of %d bytes", len(b.buf))
	}
}

func TestEnds(t *testing.T) {
	keepsFDs(t)
	frame, _ := appendFrame(nil, Ack{Epoch: 1 << 40})
	for n := range len(frame) {
		a, raw := rawChannel(t)
		_, _ = raw.Write(frame[:n])
		raw.Close()
		_, err := a.Read()
		if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("end after %d bytes: %v", n, err)
		}
		if n > 0 && !strings.Contains(err.Error(), fmt.Sprintf("%d bytes into it", n)) {
			t.Errorf("end after %d bytes: %v", n, err)
		}
		if _, again := a.Read(); again != err {
			t.Errorf("second read: %v", again)
		}
		if err := a.Write(Ready{}); !errors.Is(err, unix.EPIPE) {
			t.Errorf("write to an ended peer: %v", err)
		}
		a.Close()
	}
}

// TestPeerEndsWithUnreadData: that is a reset on a Unix socket, and an end like any other to us. What it said before counts.
func TestPeerEndsWithUnreadData(t *testing.T) {
	a, b := channel(t)
	if err := errors.Join(a.Write(Ready{}), b.Write(Bye{Cut: 3})); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if bye := next[Bye](t, a); bye.Cut != 3 {
		t.Errorf("%#v", bye)
	}
	if _, err := a.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestCloseEndsReadAndWrite(t *testing.T) {
	keepsFDs(t)
	a, _ := channel(t)
	reading := async(func() error { _, err := a.Read(); return err })
	p := newPayload(t, pattern(HeapMax, 0))
	writing := async(func() error {
		for {
			if err := a.Write(Message{Topic: "t", Payload: p}); err != nil {
				return err
			}
		}
	})
	if runtime.GOOS == "linux" {
		eventually.True(t, "writing", func() bool { return a.unread() > HeapMax })
	}
	a.Close()
	a.Close()
	if err := eventually.Receive(t, "end of reading", reading); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := eventually.Receive(t, "end of writing", writing); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := a.Read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// TestReadDeadline: a peer that sends its frame too slowly, or nothing, is not waited for. The deadline is of the reader alone.
func TestReadDeadline(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "half a frame": head(10, 1, 0)} {
		a, raw := rawChannel(t)
		if _, err := raw.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		reading := async(func() error { _, err := a.Read(); return err })
		if err := a.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := eventually.Receive(t, "end of reading "+name, reading); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		if err := a.Write(Message{Topic: "t"}); err != nil {
			t.Errorf("%s: cannot write after it: %v", name, err)
		}
	}
}

// packet is one sendmsg of a peer that breaks the rules.
type packet struct {
	bytes string
	fds   int
}

func head(n uint32, typ, fds byte) string {
	return string(binary.BigEndian.AppendUint32(nil, n)) + string([]byte{typ, fds, 0, 0})
}

func TestViolationsOverASocket(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	nfd, err := Descriptor(null)
	if err != nil {
		t.Fatal(err)
	}
	assign := `{"listeners":[{"network":"tcp","address":":1"}]}`
	large := "\x01t\x01" + string(binary.AppendUvarint(nil, 1<<20))
	for _, c := range []struct {
		name string
		send []packet
		want string
	}{
		{"oversized", []packet{{head(MaxFrame+1, 5, 0), 0}}, "body of 73729 bytes"},
		{"oversized unknown type", []packet{{head(1<<31, 99, 0), 0}}, "body of 2147483648 bytes"},
		{"descriptor missing", []packet{{head(2, 4, 1) + "{}", 0}}, "announces 1 descriptors, 0 came"},
		{"descriptor too many for the type", []packet{{head(2, 4, 1) + "{}", 1}}, "1 descriptors more than it needs"},
		{"descriptor for an inline payload", []packet{{head(3, 8, 1) + "\x01t\x00", 1}}, "1 descriptors more than it needs"},
		{"two for one payload", []packet{{head(uint32(len(large)), 8, 2) + large, 2}}, "with 2 descriptors, 1 is needed"},
		{"fewer listeners than descriptors", []packet{{head(uint32(len(assign)), 3, 3) + assign, 3}}, "1 listeners with 3 descriptors"},
		{"descriptor without an announcement", []packet{{head(2, 4, 0) + "{}", 1}}, "1 descriptors that no frame announced"},
		{"flood", []packet{{head(2, 4, 0), maxWorkerFDs}, {"{", maxWorkerFDs}, {"}", maxWorkerFDs}}, "descriptors"},
		{"flood of a frame that never ends", []packet{{head(70000, 3, 1), maxWorkerFDs}, {"{", maxWorkerFDs}, {" ", 1}}, "9 descriptors before the frames"},
		{"more than a message of a worker may have", []packet{{head(2, 4, 0), maxWorkerFDs + 1}}, "descriptors were lost: more than 4"},
		{"all that a message may have", []packet{{head(2, 4, 0), 253}}, "descriptors were lost: more than 4"},
		{"payload that is a device", []packet{{head(uint32(len(large)), 8, 1) + large, 1}}, "not a regular file"},
		{"unknown type with descriptors, then rubbish", []packet{{head(3, 99, 2) + "abc", 2}, {head(1, 7, 0) + "\x80", 0}}, "ends inside epoch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keepsFDs(t)
			a, raw := rawChannel(t)
			for _, p := range c.send {
				var oob []byte
				if p.fds > 0 {
					fds := make([]int, p.fds)
					for i := range fds {
						fds[i] = nfd
					}
					oob = unix.UnixRights(fds...)
				}
				if _, _, err := raw.WriteMsgUnix([]byte(p.bytes), oob, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := raw.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var pe *ProtocolError
			for {
				f, err := a.Read()
				if err == nil {
					Discard(f)
					continue
				}
				if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, wanted a violation with %q", err, c.want)
				}
				break
			}
			if _, err := a.Read(); err != error(pe) {
				t.Errorf("second read: %v", err)
			}
		})
	}
}

// TestUnreadDescriptorsAreClosed: with what was buffered when the channel was closed.
func TestUnreadDescriptorsAreClosed(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	p := newPayload(t, pattern(1<<20, 1))
	defer p.Release()
	for i := range 4 {
		if err := a.Write(Set{Key: fmt.Sprint(i), Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	next[Set](t, b).Payload.Release()
}

// A master may send a worker more descriptors than the other way round.
func TestDescriptorsOfAMaster(t *testing.T) {
	keepsFDs(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	nfd, err := Descriptor(null)
	if err != nil {
		t.Fatal(err)
	}
	a, b := channel(t)
	for _, text := range []string{head(70000, 3, 1), "{", " "} {
		if _, _, err := a.sock.WriteMsgUnix([]byte(text), unix.UnixRights(slices.Repeat([]int{nfd}, MaxFDs)...), nil); err != nil {
			t.Fatal(err)
		}
	}
	var broken *ProtocolError
	if _, err := b.Read(); !errors.As(err, &broken) || !strings.Contains(err.Error(), "192 descriptors before the frames") {
		t.Errorf("error %v", err)
	}
}

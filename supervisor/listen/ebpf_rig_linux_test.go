package listen

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// rig is groups of sockets that are steered by ebpf, without a Set.
type rig struct {
	*reuseEBPF
	board   *ipc.Board
	addrs   []endpoint
	sockets [][]*os.File // by group and slot
}

func needEBPF(t testing.TB) *os.File {
	t.Helper()
	hot, err := newHotMap()
	if err != nil {
		t.Skipf("NOT TESTED: no ebpf here: %v", err)
	}
	t.Cleanup(func() { hot.Close() })
	return hot
}

func newRig(t testing.TB, slots int, o Options, addrs ...string) *rig {
	t.Helper()
	hot := needEBPF(t)
	board, err := ipc.NewBoardOn(hot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { board.Close() })
	s, err := newEBPF(hot, board, slots, o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{reuseEBPF: s.(*reuseEBPF), board: board}
	t.Cleanup(r.shut)
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1:0"}
	}
	for _, text := range addrs {
		a, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ep, err := a.resolve()
		if err != nil {
			t.Fatal(err)
		}
		r.addrs = append(r.addrs, ep)
		r.sockets = append(r.sockets, nil)
	}
	for range slots {
		r.grow(t)
	}
	// No test is to depend on how soon it runs.
	board.Header().StaleAfter.Store(0)
	if err := r.steer(first(slots), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// grow opens one slot more.
func (r *rig) grow(t testing.TB) {
	t.Helper()
	for i := range r.addrs {
		slot := len(r.sockets[i])
		var f *os.File
		var err error
		if slot == 0 {
			f, r.addrs[i], err = claimTCP(r.addrs[i], true)
		} else {
			f, err = joinTCP(r.addrs[i], func() error { return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
		r.sockets[i] = append(r.sockets[i], f)
		if err := r.join(i, slot, f); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) shut() {
	for i, sockets := range r.sockets {
		for slot := len(sockets) - 1; slot >= 0; slot-- {
			r.leave(i, slot)
			sockets[slot].Close()
		}
		r.sockets[i] = nil
	}
	r.close()
}

// target is the address that clients of a group connect to.
func (r *rig) target(group int) string {
	ep := r.addrs[group]
	host := ep.ip.String()
	switch {
	case ep.dual, ep.ip.IsUnspecified() && ep.ip.Is4():
		host = "127.0.0.1"
	case ep.ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, fmt.Sprint(ep.port))
}

// queue is the number of connections that wait in a slot.
func (r *rig) queue(t testing.TB, group, slot int) (n int) {
	t.Helper()
	err := ipc.Control(r.sockets[group][slot], func(fd int) (err error) {
		n, err = tcpQueue(fd)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *rig) queues(t testing.TB, group int) (ns []int) {
	t.Helper()
	for slot := range r.sockets[group] {
		ns = append(ns, r.queue(t, group, slot))
	}
	return ns
}

// dial connects, from the address if it is not "", and leaves the connection open until the end of the test.
func dial(t testing.TB, target, from string) net.Conn {
	t.Helper()
	c, err := dialFrom(target, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dialFrom(target, from string) (net.Conn, error) {
	d := net.Dialer{Timeout: eventually.Patience()}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", target)
	if err == nil {
		c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: some of these tests make many
	}
	return c, err
}

// pickOne connects and tells which slot got it: the one whose Assigned has grown.
func (r *rig) pickOne(t testing.TB, group int, from string) int {
	t.Helper()
	before := r.assigned(group)
	dial(t, r.target(group), from)
	slot := -1
	for i, n := range r.assigned(group) {
		switch {
		case n == before[i]:
		case n == before[i]+1 && slot < 0:
			slot = i
		default:
			t.Fatalf("assigned was %v and is %v after one connection", before, r.assigned(group))
		}
	}
	if slot < 0 {
		t.Fatalf("no slot was assigned the connection: %v", before)
	}
	return slot
}

func (r *rig) assigned(group int) (ns []uint64) {
	for slot := range r.sockets[group] {
		ns = append(ns, r.board.Line(slot).Assigned.Load())
	}
	return ns
}

// serve accepts in a slot as a worker with a board does, and answers the number of the slot before it closes.
func (r *rig) serve(t testing.TB, group, slot int) {
	t.Helper()
	f, err := duplicate(r.sockets[group][slot])
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	line := r.board.Line(slot)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line.Accepted[0].Add(1)
			line.AcceptedAt.Store(ipc.Monotonic())
			line.Released[0].Add(ipc.Weight)
			c.Write([]byte{byte(slot)})
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
	})
}

// answer connects and returns the slot that answered, when it has closed.
func answer(t testing.TB, target string) int {
	t.Helper()
	c, err := dialFrom(target, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(eventually.Patience()))
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return int(b[0])
}

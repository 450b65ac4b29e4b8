package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// doorbell wakes a goroutine when connections arrive at any of many sockets, and costs nothing in between.
//
//	sockets --> [ porch ] --> [ gate ] --> the runtime's poller
//
// The porch is an epoll descriptor with all sockets in it, which no thread waits on. The gate is another with nothing but the
// porch in it. Armed, it reports connections, also those that wait already. Otherwise connections reach the porch
// and nothing else: this process is not woken. One system call arms it, whatever the number of sockets. The gate waits in
// the runtime's poller, so that no thread does.
//
// A report says no more than that there was a connection: a worker may have accepted it before the watch could look. And one
// that a worker accepts at once may make no report: before the kernel reports an event it looks again, and finds an empty
// queue. So the doorbell alone is good for connections that wait; a worker that accepts one of the others tells of it, see call.
type doorbell struct {
	gate   *os.File
	conn   syscall.RawConn
	answer func(gate uintptr) bool // rung; kept, since a function made for each wait would be allocated

	nudged, called atomic.Bool

	// The waiting goroutine's own.
	arm   bool
	asked bool // answer was called in this wait
	rang  bool
	quiet func() bool
	event [1]unix.EpollEvent

	mu      sync.Mutex
	gateFD  int
	porch   int // -1: closed
	armed   bool
	sockets []*os.File // in the porch
	deaf    bool       // some socket is not
}

func newDoorbell() (*doorbell, error) {
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a doorbell: epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(gate, true); err != nil { // otherwise the runtime does not poll it
		unix.Close(gate)
		return nil, fmt.Errorf("cannot make a doorbell: cannot set O_NONBLOCK: %w", err)
	}
	b := &doorbell{gate: os.NewFile(uintptr(gate), "doorbell"), gateFD: gate, porch: -1}
	b.answer = b.rung
	if err = b.gate.SetReadDeadline(time.Time{}); err == nil { // fails if it is not polled
		b.conn, err = b.gate.SyscallConn()
	}
	if err == nil {
		err = b.build()
	}
	if err != nil {
		b.close()
		return nil, fmt.Errorf("cannot make a doorbell: %w", err)
	}
	return b, nil
}

// build makes a new porch in place of the old one. A socket that workers hold too stays in an epoll descriptor when it is
// closed here, and cannot be taken out any more: so the whole porch goes.
func (b *doorbell) build() error {
	porch, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.EpollCtl(b.gateFD, unix.EPOLL_CTL_ADD, porch, b.shot()); err != nil {
		unix.Close(porch)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	if b.porch >= 0 {
		unix.Close(b.porch)
	}
	b.porch, b.sockets = porch, b.sockets[:0]
	return nil
}

func (b *doorbell) shot() *unix.EpollEvent {
	if b.armed {
		return &unix.EpollEvent{Events: unix.EPOLLIN}
	}
	return &unix.EpollEvent{}
}

// hang puts it on just these sockets, in place of the earlier ones. It is to be called when any was closed, before
// another one can have its number. If it fails the bell is deaf: it may not ring for some, until a later hang succeeds.
func (b *doorbell) hang(sockets []*os.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.porch < 0 {
		return os.ErrClosed
	}
	b.deaf = true
	if len(sockets) < len(b.sockets) || !slices.Equal(sockets[:len(b.sockets)], b.sockets) {
		if err := b.build(); err != nil {
			return fmt.Errorf("cannot hang the doorbell: %w", err)
		}
	}
	for _, f := range sockets[len(b.sockets):] {
		err := ipc.Control(f, func(fd int) error {
			return unix.EpollCtl(b.porch, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
		})
		if err != nil {
			return fmt.Errorf("cannot hang the doorbell on %s: %w", f.Name(), err)
		}
		b.sockets = append(b.sockets, f)
	}
	b.deaf = false
	return nil
}

// sound reports whether it is on all sockets.
func (b *doorbell) sound() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deaf
}

// set arms or disarms the gate. To arm it once more lets it report what waits already.
func (b *doorbell) set(armed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.porch < 0 || !armed && !b.armed {
		return
	}
	b.armed = armed
	if unix.EpollCtl(b.gateFD, unix.EPOLL_CTL_MOD, b.porch, b.shot()) != nil {
		b.deaf = true
	}
}

// wait returns when a connection has arrived, if arm, or after a call or a nudge, or after d; 0 is without an end. When the
// doorbell is armed quiet is asked whether all is still as it was when it was decided to wait; if not the wait ends at
// once. So a connection that waits rings, one that was counted before makes a difference that quiet sees, and of one that is
// counted after quiet was asked the worker calls. When wait has returned true for a connection that has arrived it is no
// longer armed. Only one goroutine may wait. The only error is os.ErrClosed.
func (b *doorbell) wait(d time.Duration, arm bool, quiet func() bool) (rang bool, err error) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	if b.gate.SetReadDeadline(deadline) != nil {
		return false, os.ErrClosed
	}
	if b.nudged.Swap(false) { // a later nudge moves the deadline
		return b.called.Swap(false), nil
	}
	b.arm, b.asked, b.rang, b.quiet = arm, false, false, quiet
	err = b.conn.Read(b.answer)
	called := b.called.Swap(false)
	switch {
	case err == nil:
		return b.rang || called, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.nudged.Store(false) // if that was it
		return called, nil
	}
	return false, os.ErrClosed
}

// rung is called when the poller has been made ready for a report, and then for each report. Those are taken for what they
// are: the gate, when asked, would deny a connection that was accepted meanwhile.
func (b *doorbell) rung(uintptr) bool {
	if !b.asked {
		b.asked = true
		b.set(b.arm)
		if !b.arm {
			return false
		}
		// What waits already makes no new report if the gate has made one before that was not taken.
		n, err := unix.EpollWait(b.gateFD, b.event[:], 0)
		b.rang = err == nil && n > 0
		if !b.rang {
			return b.quiet != nil && !b.quiet()
		}
	}
	b.rang = b.arm // else the report is from before
	if b.rang {
		b.set(false)
	}
	return b.rang
}

// nudge makes the wait that is under way, or else the next one, return at once.
func (b *doorbell) nudge() {
	b.nudged.Store(true)
	_ = b.gate.SetReadDeadline(time.Unix(1, 0))
}

// call rings it: the wait that is under way, or else the next one, returns true at once.
func (b *doorbell) call() {
	b.called.Store(true)
	b.nudge()
}

// close ends it and the wait that is under way.
func (b *doorbell) close() {
	b.mu.Lock()
	if b.porch >= 0 {
		unix.Close(b.porch)
		b.porch = -1
	}
	b.mu.Unlock()
	b.gate.Close() // waits for rung to return
}

package tunnel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Info says which tunnel it is, to the worker that it moves to.
type Info struct {
	ID     string `json:"id,omitempty"`     // of the request that began it
	Pool   string `json:"pool,omitempty"`   // the type of the member
	Member string `json:"member,omitempty"` // its ID
}

// tunnel is two connections and what is in hand of each direction.
type tunnel struct {
	info   Info
	halves [2]half // from the client, from the member
	active atomic.Int64

	mu    sync.Mutex
	state state
	rests chan struct{} // closed when both pumps have stopped for a move
	moved chan bool     // how the move went
}

type state int

const (
	pumping state = iota
	moving        // the pumps stop, or have; the mover has the halves once rests is closed
	ended
)

// half is one direction.
type half struct {
	from, to net.Conn
	hand     []byte // read and not written
	over     bool   // its end was passed on
	failed   bool   // and so is the other direction
}

func newTunnel(info Info, client, member net.Conn, hand [2][]byte) *tunnel {
	return &tunnel{info: info, halves: [2]half{{from: client, to: member, hand: hand[0]}, {from: member, to: client, hand: hand[1]}}}
}

// run pumps until both directions have ended, or the tunnel has moved. The connections stay open, unless one has failed.
func (t *tunnel) run() (moved bool) {
	for {
		t.pump()
		t.mu.Lock()
		if t.state != moving {
			t.state = ended
			t.mu.Unlock()
			return false
		}
		close(t.rests)
		t.mu.Unlock()
		if <-t.moved {
			return true
		}
		if t.isOver() {
			return false
		}
		t.setDeadline(time.Time{})
		t.mu.Lock()
		t.state = pumping
		t.mu.Unlock()
	}
}

// pump passes both directions on until they end, or a deadline stops them.
func (t *tunnel) pump() {
	var wg sync.WaitGroup
	up, down := &t.halves[0], &t.halves[1]
	if !up.over && !up.failed {
		wg.Go(func() { up.pump(&t.active) })
	}
	if !down.over && !down.failed {
		down.pump(&t.active)
	}
	wg.Wait()
}

// isOver reports whether nothing is left to pass. It is asked while the pumps rest.
func (t *tunnel) isOver() bool {
	up, down := &t.halves[0], &t.halves[1]
	return up.failed || down.failed || up.over && down.over
}

func (t *tunnel) setDeadline(at time.Time) {
	_ = t.halves[0].from.SetDeadline(at)
	_ = t.halves[1].from.SetDeadline(at)
}

// rest stops the pumps. It reports whether the halves are the caller's, who then says by moved how it went.
func (t *tunnel) rest() bool {
	t.mu.Lock()
	if t.state != pumping {
		t.mu.Unlock()
		return false
	}
	t.state, t.rests, t.moved = moving, make(chan struct{}), make(chan bool, 1)
	t.mu.Unlock()
	t.setDeadline(time.Unix(1, 0))
	<-t.rests
	return true
}

// pump copies until the end, which it tells the other side. After an error both sides are closed. A deadline ends it with what is in hand.
func (h *half) pump(active *atomic.Int64) {
	err := h.copy(active)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	half, ok := h.to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		h.over = true
		return
	}
	h.failed = true
	h.to.Close()
	h.from.Close()
}

// write writes what is in hand.
func (h *half) write(p []byte) error {
	n, err := h.to.Write(p)
	if err != nil {
		h.hand = append([]byte(nil), p[n:]...)
	} else {
		h.hand = nil
	}
	return err
}

func (h *half) copy(active *atomic.Int64) error {
	if len(h.hand) > 0 {
		if err := h.write(h.hand); err != nil {
			return err
		}
	}
	raw, err := rawOf(h.from)
	if err != nil { // such as TLS, which has a buffer of its own
		_, err := io.Copy(struct{ io.Writer }{h.to}, struct{ io.Reader }{h.from})
		return err
	}
	for {
		b, n, err := read(raw)
		if n > 0 {
			active.Store(now())
			err = h.write((*b)[:n])
		}
		if b != nil {
			buffers.Put(b)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// rawOf is the socket below a connection.
func rawOf(c net.Conn) (syscall.RawConn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// read waits for bytes without a buffer, and reads them into one of buffers. n is 0 at the end.
func read(raw syscall.RawConn) (b *[]byte, n int, err error) {
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		if b == nil {
			b = buffers.Get().(*[]byte)
		}
		for {
			n, failed = syscall.Read(int(fd), *b)
			if failed != syscall.EINTR {
				break
			}
		}
		if failed == syscall.EAGAIN {
			buffers.Put(b)
			b, n, failed = nil, 0, nil
			return false
		}
		return true
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("read", failed)
	}
	return b, max(n, 0), err
}

// buffers are for bytes that pass.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// began is a moment that all times of this process are measured from.
var began = time.Now()

func now() int64 { return int64(time.Since(began)) }

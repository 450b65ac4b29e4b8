package worker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// takeTimeout bounds the end of a write that was under way when a master left. One that is killed ends it at once.
	takeTimeout = time.Second
)

// mail is the way to the present master: an outbox on its channel. Between two masters frames wait here for the next one, with
// the bounds that they have in an outbox: a flood of messages takes no room from what the master must be told. Replies to
// the last master do not wait.
//
// Masters are numbered, from 1: a reply goes to the master that has asked, or is dropped.
type mail struct {
	mu       sync.Mutex
	box      *ipc.Outbox // nil between two masters
	masterNo uint64      // of box, or of the last one
	waiting  []ipc.Frame // for the next master
	room     ipc.Room    // of those
	ended    bool        // there will be none
	opened   chan struct{}
}

func newMail() *mail { return &mail{opened: make(chan struct{})} }

// open begins with the next master on conn. It sends what again makes of the numbers of the calls and changes that wait, and
// then these.
func (m *mail) open(conn *ipc.Conn, again func(waiting map[uint64]bool) []ipc.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		conn.Close()
		return
	}
	waiting := map[uint64]bool{}
	for _, f := range m.waiting {
		switch f := f.(type) {
		case ipc.Call:
			waiting[f.ID] = true
		case ipc.Set:
			waiting[f.ID] = true
		case ipc.Delete:
			waiting[f.ID] = true
		}
	}
	first := again(waiting)
	m.masterNo++
	m.box = ipc.NewOutbox(conn, ipc.OutboxOptions{Keep: true})
	_ = m.box.Send(append(first, m.waiting...)...) // one that is new takes all of a call, and is not closed
	m.waiting = nil
	m.room.Clear()
	close(m.opened)
}

// next returns the number of the master that the next open begins with.
func (m *mail) next() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.masterNo + 1
}

// close ends the channel to the master. What was not written waits for the next one.
func (m *mail) close() {
	m.mu.Lock()
	box := m.box
	if box != nil {
		m.box, m.opened = nil, make(chan struct{})
	}
	m.mu.Unlock()
	var left []ipc.Frame
	if box != nil {
		left = box.Take(takeTimeout)
		box.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := make([]ipc.Frame, 0, len(left)+len(m.waiting))
	for _, f := range left {
		if _, ok := f.(ipc.Reply); ok || m.ended {
			ipc.Discard(f)
			continue
		}
		kept = append(kept, f)
	}
	since := m.waiting
	m.waiting = nil
	m.room.Clear()
	_ = m.wait(append(kept, since...)) // there is room for all of a call
}

// wait keeps frames for the next master. It is called with mu held.
func (m *mail) wait(fs []ipc.Frame) error {
	if err := m.room.Admit(fs...); err != nil {
		discard(fs)
		return fmt.Errorf("%w, for the next master", err)
	}
	for _, f := range fs {
		if ipc.Supersedes(f, f) {
			m.waiting = slices.DeleteFunc(m.waiting, func(old ipc.Frame) bool { return ipc.Supersedes(f, old) })
		}
		m.waiting = append(m.waiting, f)
	}
	return nil
}

// send never waits. It takes over what the frames own.
func (m *mail) send(fs ...ipc.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended:
		discard(fs)
		return ErrOrphaned
	case m.box != nil && !broken(m.box):
		return m.box.Send(fs...)
	}
	return m.wait(fs)
}

// broken says that the outbox will take nothing more, since its channel is at its end.
func broken(o *ipc.Outbox) bool {
	select {
	case <-o.Done():
		return true
	default:
		return o.Err() != nil
	}
}

// reply sends to the master with that number, if it is still the present one.
func (m *mail) reply(masterNo uint64, f ipc.Reply) error {
	m.mu.Lock()
	if m.ended || m.box == nil || m.masterNo != masterNo {
		m.mu.Unlock()
		ipc.Discard(f)
		return ErrOrphaned
	}
	box := m.box
	m.mu.Unlock()
	if err := box.Send(f); !errors.Is(err, ipc.ErrClosed) {
		return err
	}
	return ErrOrphaned
}

// bye writes all there is, f last, and closes the channel. Without a master it waits for one, for at most d in all: one
// a master that is not told that this worker goes on purpose would take it for finished.
func (m *mail) bye(f ipc.Bye, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	for {
		m.mu.Lock()
		box, opened, ended := m.box, m.opened, m.ended
		m.mu.Unlock()
		if ended {
			return
		}
		if box != nil {
			_ = box.Send(f)
			box.CloseAfterFlush(byeTimeout)
			<-box.Done()
			if box.Err() == nil {
				return
			}
			m.mu.Lock()
			if m.box == box { // it has not been noticed yet that it is broken
				m.box, m.opened = nil, make(chan struct{})
			}
			opened = m.opened
			m.mu.Unlock()
		}
		select {
		case <-opened:
		case <-late.C:
			return
		}
	}
}

// end drops what waits and takes nothing more.
func (m *mail) end() {
	m.mu.Lock()
	box := m.box
	m.box, m.ended = nil, true
	discard(m.waiting)
	m.waiting = nil
	m.mu.Unlock()
	if box != nil {
		box.Close()
	}
}

func discard(fs []ipc.Frame) {
	for _, f := range fs {
		if f != nil {
			ipc.Discard(f)
		}
	}
}

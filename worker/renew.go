package worker

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// ErrMasterReplaced answers a call that was on its way when the master was replaced: whether it was carried out is not
// known.
var ErrMasterReplaced = errors.New("the master was replaced")

const (
	// noMaster is for how long a worker is without a master before it says so. A new one takes some ms.
	noMaster = time.Second
	// byeWait bounds the wait of a drained worker for a master to say it to.
	byeWait = time.Second
)

// lifeline brings the channels of the masters to come. One goroutine waits for them, also while a channel is open: a
// master that hangs may be replaced too.
type lifeline struct {
	renewals *ipc.Renewals

	mu      sync.Mutex
	current *ipc.Conn
	next    *ipc.Conn     // has come and is not in use yet
	ended   error         // no other will come
	changed chan struct{} // of next or ended; room for one
}

func newLifeline(r *ipc.Renewals, first *ipc.Conn) *lifeline {
	return &lifeline{renewals: r, current: first, changed: make(chan struct{}, 1)}
}

func (l *lifeline) run() {
	for {
		c, err := l.renewals.Next()
		l.mu.Lock()
		old := l.current
		if l.next != nil {
			old = l.next // of a master that was replaced before it was seen
		}
		if l.ended = err; err == nil {
			l.next = c
		}
		l.mu.Unlock()
		if err == nil {
			old.Close() // its reader comes for the next one
		}
		select {
		case l.changed <- struct{}{}:
		default:
		}
		if err != nil {
			l.renewals.Close()
			return
		}
	}
}

// take waits for the next channel, and calls late once if there is none for long. The error is io.EOF when no other master
// will come.
func (l *lifeline) take(over <-chan struct{}, late func()) (*ipc.Conn, error) {
	t := time.AfterFunc(noMaster, late)
	defer t.Stop()
	for {
		l.mu.Lock()
		c, err := l.next, l.ended
		if c != nil {
			l.current, l.next = c, nil
		}
		l.mu.Unlock()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-l.changed:
		case <-over:
			return nil, net.ErrClosed
		}
	}
}

// abort ends the waiting, and the channel that is in use.
func (l *lifeline) abort() {
	l.renewals.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current.Close()
}

// superseded says that the channel was closed since another one has come.
func (l *lifeline) superseded() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next != nil
}

// leaves notes on the lifeline that this process ends on purpose. A Bye follows on the channel, with the reason; if its master dies
// before that is read, or there is none until this process has ended, the next master would take it for finished without the note.
func (w *Worker) leaves() {
	if w.link != nil && w.link.lifeline != nil {
		_ = w.link.lifeline.renewals.Leave() // no master is there: none judges the exit
	}
}

func (l *lifeline) close() {
	l.renewals.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		l.next.Close()
		l.next = nil
	}
}

// renew gets over the end of a channel: it waits for the next master's, and introduces this worker there. It answers false
// when there is none.
func (l *link) renew(cause error) bool {
	w := l.w
	select {
	case <-w.over:
		return false
	default:
	}
	if errors.Is(cause, net.ErrClosed) && !l.lifeline.superseded() {
		return false // this side has closed it: the worker has said bye
	}
	if l.lifeline == nil {
		w.lost(cause)
		return false
	}
	since := time.Now()
	w.mail.close()
	log := w.log()
	conn, err := l.lifeline.take(w.over, func() { log.Warn("there is no master; serving on until one comes") })
	if err != nil {
		if !errors.Is(err, net.ErrClosed) {
			if errors.Is(err, io.EOF) {
				err = cause
			}
			if l.complete { // else there is no master yet that it could be said to
				w.lost(err)
			}
		}
		return false
	}
	l.conn, l.greeted, l.missing = conn, false, -1
	l.masterNo = w.mail.next()
	if err := conn.Write(w.helloAgain()); err != nil {
		conn.Close()
		return l.renew(err)
	}
	w.mail.open(conn, w.calls.renew)
	log.Info("another master takes over", "after", time.Since(since).Round(time.Millisecond))
	return true
}

// helloAgain introduces this worker to a master that takes over.
func (w *Worker) helloAgain() ipc.Hello {
	h := hello()
	h.App, h.Worker, h.Generation = w.app, w.id, w.generation
	h.State, h.Epoch = w.state(), w.applied.Load()
	if slot := w.Slot(); slot >= 0 {
		h.Slot, h.Seat = slot, w.seat
	}
	return h
}

func (w *Worker) state() ipc.WorkerState {
	select {
	case <-w.drain.begun:
		return ipc.StateDraining
	default:
	}
	select {
	case <-w.assigned:
		if w.serves.Load() {
			return ipc.StateReady
		}
		return ipc.StateAssigned
	default:
	}
	if w.standsBy.Load() {
		return ipc.StateStandby
	}
	return ipc.StateStarting
}

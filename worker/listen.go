package worker

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc"
)

// assign takes the slot and its sockets. It closes the files: a listener made from one has its own duplicate, and a
// board is mapped.
func (w *Worker) assign(f ipc.Assign) {
	defer ipc.Discard(f)
	w.drain.setUsual(f.DrainDelay, f.DrainTimeout)
	first := false
	w.assignOne.Do(func() { first = true })
	if !first {
		if len(f.Files) > 0 {
			w.opts.logger.Warn("a second assignment is ignored", "slot", w.Slot(), "ignored", f.Slot)
		}
		return
	}
	w.seat = f.Seat
	w.slot.Store(int64(f.Slot))
	w.books.seated(w, f.Slot, f.Seat)
	if f.Board {
		w.tally = w.openTally(f)
	}
	for i, file := range f.Files {
		ln, err := net.FileListener(file)
		if err != nil {
			if i < len(f.Listeners) {
				err = fmt.Errorf("cannot listen on %s: %w", f.Listeners[i].Address, err)
			}
			w.assignErr = errors.Join(w.assignErr, err)
			continue
		}
		if w.tally != nil {
			ln = counted(ln, w.tally)
		}
		w.listeners = append(w.listeners, ln)
	}
	close(w.assigned)
}

// openTally maps the board for good. A worker that cannot serves all the same, uncounted.
func (w *Worker) openTally(f ipc.Assign) *tally {
	if f.Slot >= ipc.MaxSlots {
		w.opts.logger.Warn("no scoreboard: it has no such slot", "slot", f.Slot, "slots", ipc.MaxSlots)
		return nil
	}
	b, err := ipc.OpenBoard(f.Hot, f.Rows)
	if err != nil {
		w.opts.logger.Warn("no scoreboard", "slot", f.Slot, "error", err)
		return nil
	}
	return newTally(b.Line(f.Slot), b.Row(f.Slot, f.Seat), f.Seat, w.over, newWaker(w, b.Header()))
}

// listenAlone opens the sockets of a worker that has no master.
func (w *Worker) listenAlone() {
	w.assignOne.Do(func() {
		for _, a := range w.opts.listen {
			network, addr := "tcp", a
			if n, rest, ok := strings.Cut(a, "://"); ok {
				network, addr = n, rest
			} else if rest, ok := strings.CutPrefix(a, "unix:"); ok {
				network, addr = "unix", rest
			}
			ln, err := net.Listen(network, addr)
			if err != nil {
				w.assignErr = errors.Join(w.assignErr, fmt.Errorf("cannot listen on %s: %w", a, err))
				continue
			}
			w.listeners = append(w.listeners, ln)
		}
		close(w.assigned)
	})
}

// Listeners returns the sockets to accept connections from, in the order of the app's addresses. It waits until the
// master has assigned a slot, which for a standby may be long after the start: whatever takes time is best done before.
// A program that accepts from them itself finishes its connections in [Worker.OnDrain]; the worker closes the listeners when
// it is time to stop accepting.
//
// Under a master the listeners and their connections count on the scoreboard. They have the methods of *net.TCPListener
// and *net.TCPConn (or *net.UnixListener and *net.UnixConn) but are not of these types: ask for an interface.
func (w *Worker) Listeners() ([]net.Listener, error) {
	w.drain.use()
	if !w.attached {
		w.listenAlone()
	}
	select { // what is there already wins over what has happened since
	case <-w.assigned:
	default:
		w.standby.Do(func() {
			w.standsBy.Store(true)
			_ = w.send(ipc.Standby{}) // it fails only without a master, which shows below
		})
		select {
		case <-w.assigned:
		case <-w.drain.begun:
			return nil, ErrDraining
		case <-w.orphaned:
			return nil, ErrOrphaned
		}
	}
	if w.assignErr != nil {
		return nil, w.assignErr
	}
	return w.listeners, nil
}

// Listener is [Worker.Listeners] for an app with one address. Unless [WithManualReady] is given it tells the master that
// the worker is ready.
func (w *Worker) Listener() (net.Listener, error) {
	lns, err := w.Listeners()
	if err != nil {
		return nil, err
	}
	if len(lns) != 1 {
		return nil, fmt.Errorf("the app has %d addresses: use Listeners", len(lns))
	}
	w.autoReady()
	return lns[0], nil
}

// closeListeners closes this process's copies. The sockets live on in the master: shutdown(2), which would end them for
// everybody, is never called.
func (w *Worker) closeListeners() {
	select {
	case <-w.assigned:
		for _, ln := range w.listeners {
			ln.Close()
		}
	default:
	}
	w.inner.close()
}

// queuesEmpty waits until no connection is waiting to be accepted, or stop closes.
func (w *Worker) queuesEmpty(stop <-chan struct{}) {
	select {
	case <-w.assigned:
	default:
		return
	}
	// There is no event for "the queue is empty": readiness tells only of the contrary.
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for {
		waiting := false
		for _, ln := range w.listeners {
			waiting = waiting || readable(ln)
		}
		waiting = waiting || w.inner.waits()
		if !waiting {
			return
		}
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

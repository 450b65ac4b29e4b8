package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

// link is the reading side of the channel. One goroutine owns it; it never runs code of the user and never waits for
// anything but the channel, so that the master's frames are always taken at once.
type link struct {
	w        *Worker
	conn     *ipc.Conn
	masterNo uint64 // of conn
	first    *ipc.Conn
	lifeline *lifeline // nil: there is one master only
	greeted  bool
	complete bool            // the handshake is over
	missing  int             // sets of the snapshot that are still to come; -1: no snapshot yet
	seen     map[string]bool // keys in the snapshot that is being received
}

func (w *Worker) attach(conn *ipc.Conn, renewals *ipc.Renewals) error {
	w.mail = newMail()
	w.link = &link{w: w, conn: conn, first: conn, masterNo: w.mail.next(), missing: -1}
	if renewals != nil {
		w.link.lifeline = newLifeline(renewals, conn)
	}
	// No frame of the handshake is handed to another goroutine: all of it is there
	// already as a rule, and a program's start is what a crash costs.
	err := conn.Write(hello())
	if err == nil {
		w.mail.open(conn, w.calls.renew)
	} else {
		conn.Close()
		err = fmt.Errorf("cannot send the hello: %w", err)
	}
	if w.link.lifeline != nil {
		go w.link.lifeline.run()
	}
	late := time.AfterFunc(w.opts.attach, w.link.giveUp)
	for !w.link.complete {
		if err == nil {
			err = w.link.next()
		}
		if err != nil && w.link.lifeline != nil && ended(err) && w.link.renew(err) {
			err = nil // the master has gone in the middle of it, and there is another
		}
		if err != nil {
			if !late.Stop() {
				err = w.tooLate()
			}
			return err
		}
	}
	if !late.Stop() {
		return w.tooLate()
	}
	go w.link.read()
	go w.applyLoop()
	return nil
}

// ended tells the end of a channel from what a master said on it.
func ended(err error) bool {
	ends := []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET}
	return slices.ContainsFunc(ends, func(end error) bool { return errors.Is(err, end) })
}

func (w *Worker) tooLate() error {
	return fmt.Errorf("the master did not complete the handshake within %v", w.opts.attach)
}

// giveUp ends a handshake that takes too long.
func (l *link) giveUp() {
	if l.lifeline == nil {
		l.first.Close()
		return
	}
	l.lifeline.abort()
}

func (l *link) next() error {
	f, err := l.conn.Read()
	if err != nil {
		return err
	}
	return l.handle(f)
}

func (l *link) read() {
	for {
		if err := l.next(); err != nil && !l.renew(err) {
			return
		}
	}
}

func (l *link) handle(f ipc.Frame) error {
	w := l.w
	if !l.greeted {
		h, ok := f.(ipc.Hello)
		if !ok {
			ipc.Discard(f)
			return fmt.Errorf("the master's first frame is %T instead of a hello", f)
		}
		if h.Protocol != ipc.Protocol {
			return fmt.Errorf("the master speaks protocol %d, this worker %d: build both from compatible versions", h.Protocol, ipc.Protocol)
		}
		l.greeted = true
		if w.id != 0 { // who it is has been told, and does not change
			if h.Worker != w.id {
				return fmt.Errorf("the master takes this worker for %d, it is %d", h.Worker, w.id)
			}
			return nil
		}
		w.app, w.id, w.generation = h.App, h.Worker, h.Generation
		return nil
	}
	switch f := f.(type) {
	case ipc.Snapshot:
		l.seen = make(map[string]bool, f.Count)
		l.missing = f.Count
		w.store.restart(f.Epoch)
		if f.Count == 0 {
			l.snapshotComplete()
		}
	case ipc.Set:
		if l.missing <= 0 {
			w.store.set(f.Key, f.Epoch, f.ChangedAt, f.Payload)
		} else {
			w.store.confirm(f.Key, f.Epoch, f.ChangedAt, f.Payload)
			l.seen[f.Key] = true
			if l.missing--; l.missing == 0 {
				l.snapshotComplete()
			}
		}
	case ipc.Delete:
		w.store.delete(f.Key, f.Epoch)
	case ipc.Assign:
		w.assign(f)
	case ipc.Inner:
		w.takeInner(f)
	case ipc.Tickets:
		w.takeTickets(f)
	case ipc.Message:
		w.received(f)
	case ipc.Call:
		w.called(call{f, l.masterNo})
	case ipc.Reply:
		w.calls.answer(f)
	case ipc.Drain:
		w.drain.begin(w, drainOrder{reason: f.Reason, handover: f.Handover, linger: f.Linger, delay: f.Delay, timeout: f.Timeout})
	default:
		ipc.Discard(f) // not meant for workers
	}
	return nil
}

// snapshotComplete forgets what an earlier snapshot had and this one has not.
func (l *link) snapshotComplete() {
	l.w.store.keepOnly(l.seen)
	l.seen = nil
	l.complete = true
}

// lost is told once that the channel has ended.
func (w *Worker) lost(err error) {
	select {
	case <-w.over:
		return // it was this side that closed it
	default:
	}
	w.orphan1.Do(func() {
		log := w.log()
		var violation *ipc.ProtocolError
		var files *ipc.LostFilesError
		if errors.As(err, &violation) || errors.As(err, &files) {
			log.Error("the channel to the master is unusable; serving on without it", "error", err)
		} else {
			log.Warn("the master has vanished; serving on")
		}
		w.calls.fail(ErrOrphaned)
		close(w.orphaned)
		w.mail.end()
		if w.opts.orphan == OrphanDrain {
			go w.drainOrphan()
		}
	})
}

func (w *Worker) drainOrphan() {
	t := time.NewTimer(w.opts.orphanGrace)
	defer t.Stop()
	select {
	case <-t.C:
		o := w.drain.usual("orphaned", false)
		w.drain.begin(w, o)
	case <-w.over:
	}
}

package ipc

import (
	"fmt"
	"sync"
	"time"
)

// OutboxOptions bounds an Outbox. Zero values take the default in brackets.
type OutboxOptions struct {
	MaxFrames int           // frames of a lane of Send that may wait before the next one is refused: see Room [1024]
	MaxBytes  int           // the same for the bytes of their inline payloads [4 MiB]
	Stuck     time.Duration // after how long without progress the peer counts as stuck [1 s]

	// OnStuck is told once for each stall, from the outbox's goroutine. It must not wait for anything; calling Close is
	// allowed.
	OnStuck func(waiting time.Duration)

	// Keep has what waits when the channel breaks kept for Take. Otherwise it is dropped.
	Keep bool
}

// maxLargeUnread is how many payloads in descriptors an Outbox lets the peer leave unread. The socket's buffer would take
// hundreds of them, each keeping its memory alive, and that is where a peer that does not read would make memory grow.
const maxLargeUnread = 2

// Outbox is the queue in front of a Conn with one goroutine that writes it out. No method waits for the peer.
//
// Frames leave in the order in which they were sent, whatever their lane. There are three ways in:
//
//	Send        orders, asks, answers, notes: each one counts, and each lane has a room of its own (see Room): ErrFull
//	SendValues  a snapshot. Never full: there is one when a worker is introduced, and its values are written from where
//	            they are kept, one after the other
//	SendValue   a change: only the newest of a key counts. Never full: at most one waits for each key
type Outbox struct {
	conn *Conn
	opts OutboxOptions
	done chan struct{}
	stop chan struct{} // closed by Close: ends a wait

	mu       sync.Mutex
	wake     sync.Cond
	first    *entry
	last     *entry
	values   map[string]*entry // those of SendValue that wait
	states   map[Type]*entry   // those that wait of which only the newest counts
	room     Room              // of Send
	queued   int               // all that wait; a snapshot is one
	flying   int               // taken by the writer and not written yet
	closed   bool              // take nothing more, drop what waits
	flushing bool              // take nothing more, write what waits
	purpose  bool              // the owner wants the Conn closed
	flushFor time.Duration
	timer    *time.Timer
	err      error
}

// entry is a frame that waits, or a snapshot.
type entry struct {
	frame      Frame
	key        string  // of SendValue
	values     *Values // of SendValues
	at         int     // which of them is next; -1: what they begin with
	prev, next *entry
}

// peek is the next frame of e. Its payload is not the caller's.
func (e *entry) peek() Frame {
	if e.values != nil {
		return e.values.frame(e.at)
	}
	return e.frame
}

// discard gives back what e holds.
func (e *entry) discard() {
	if e.values != nil {
		e.values.Release()
		return
	}
	Discard(e.frame)
}

// NewOutbox starts the writer. The owner ends it with Close or CloseAfterFlush, also after Done.
func NewOutbox(c *Conn, opts OutboxOptions) *Outbox {
	if opts.Stuck <= 0 {
		opts.Stuck = time.Second
	}
	if opts.OnStuck == nil {
		opts.OnStuck = func(time.Duration) {}
	}
	o := &Outbox{conn: c, opts: opts, done: make(chan struct{}), stop: make(chan struct{}),
		values: map[string]*entry{}, states: map[Type]*entry{}, room: Room{MaxFrames: opts.MaxFrames, MaxBytes: opts.MaxBytes}}
	o.wake.L = &o.mu
	go o.run()
	return o
}

// Send queues all of fs or none. It is refused with ErrFull when the lane of one of them is full: see Room. It takes over
// payloads and files in any case.
func (o *Outbox) Send(fs ...Frame) error {
	if err := o.send(fs); err != nil {
		for _, f := range fs {
			if f != nil {
				Discard(f)
			}
		}
		return err
	}
	return nil
}

func (o *Outbox) send(fs []Frame) error {
	for _, f := range fs {
		if err := check(f); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.flushing {
		return ErrClosed
	}
	if err := o.room.Admit(fs...); err != nil {
		return err
	}
	for _, f := range fs {
		e := &entry{frame: f}
		if isState(f) {
			if old := o.states[f.frameType()]; old != nil {
				o.remove(old) // f says it anew
			}
			o.states[f.frameType()] = e
		}
		o.push(e)
	}
	o.wake.Signal()
	return nil
}

// SendValues queues a snapshot: its frame, and a set for each value. Changes of them that are sent later come after all of it. It
// takes over the reference to v in any case.
func (o *Outbox) SendValues(v *Values) error {
	if err := o.sendValues(v); err != nil {
		v.Release()
		return err
	}
	return nil
}

func (o *Outbox) sendValues(v *Values) error {
	if err := check(v.frame(-1)); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.flushing {
		return ErrClosed
	}
	o.push(&entry{values: v, at: -1})
	o.wake.Signal()
	return nil
}

// SendValue queues a Set or Delete. A change of the same key that still waits is dropped and the new one goes to the end, so
// that epochs stay in order. It takes over the payload in any case.
func (o *Outbox) SendValue(f Frame) error {
	if err := o.sendValue(f); err != nil {
		if f != nil {
			Discard(f)
		}
		return err
	}
	return nil
}

func (o *Outbox) sendValue(f Frame) error {
	if err := check(f); err != nil {
		return err
	}
	var key string
	var id uint64
	switch f := f.(type) {
	case Set:
		key, id = f.Key, f.ID
	case Delete:
		key, id = f.Key, f.ID
	default:
		return fmt.Errorf("cannot send %s as a value: only set and delete are", f.frameType())
	}
	if id != 0 {
		return fmt.Errorf("cannot send %s %d of %q as a value: who waits for its reply would wait in vain if a newer one replaced it", f.frameType(), id, key)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.flushing {
		return ErrClosed
	}
	if old := o.values[key]; old != nil {
		o.remove(old)
		old.discard()
	}
	e := &entry{frame: f, key: key}
	o.values[key] = e
	o.push(e)
	o.wake.Signal()
	return nil
}

// Close drops what waits and closes the Conn. It does not wait for the writer: see Done. Calling it again does nothing.
func (o *Outbox) Close() {
	o.mu.Lock()
	o.purpose = true
	o.mu.Unlock()
	o.shut(nil)
	o.mu.Lock()
	o.drop() // what was kept
	o.mu.Unlock()
	o.conn.Close()
}

// Take ends the outbox and gives back the frames that were not written, in their order: they are the caller's. What is left of
// a snapshot is not among them: it is for this channel's peer only. One write
// may be under way; it has d to end, and then the Conn is closed. Otherwise that stays open: the peer's last frames can
// still be read. What was being written when the channel broke is lost.
func (o *Outbox) Take(d time.Duration) []Frame {
	o.end(nil)
	late := time.AfterFunc(d, func() { o.conn.Close() })
	<-o.done
	late.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	var fs []Frame
	for e := o.first; e != nil; e = e.next {
		if e.values != nil {
			e.discard()
			continue
		}
		fs = append(fs, e.frame)
	}
	o.forget()
	return fs
}

// CloseAfterFlush takes nothing more, writes what waits for at most d, and then closes the Conn. It returns at once: see
// Done.
func (o *Outbox) CloseAfterFlush(d time.Duration) {
	o.mu.Lock()
	o.purpose = true
	if o.closed || o.flushing {
		ended := o.closed
		o.mu.Unlock()
		if ended { // also after the writer ended by itself: the Conn is still to be closed
			o.conn.Close()
		}
		return
	}
	o.flushing, o.flushFor = true, d
	o.timer = time.AfterFunc(d, o.expire)
	o.wake.Signal()
	o.mu.Unlock()
}

func (o *Outbox) expire() {
	o.mu.Lock()
	left := o.queued + o.flying
	o.mu.Unlock()
	var err error
	if left > 0 {
		err = fmt.Errorf("cannot flush outbox within %s: %d frames are left", o.flushFor, left)
	}
	o.shut(err)
	o.conn.Close()
}

// Done is closed when the writer has ended; after Close or CloseAfterFlush the Conn is then closed too.
func (o *Outbox) Done() <-chan struct{} { return o.done }

// Err says why the writer ended; nil while it runs and when it was closed on purpose with nothing left to flush.
func (o *Outbox) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// shut ends the outbox and drops what waits, unless it is kept.
func (o *Outbox) shut(cause error) {
	if !o.end(cause) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if cause == nil || !o.opts.Keep {
		o.drop()
	}
}

// end tells the writer to end. The first cause stays.
func (o *Outbox) end(cause error) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.closed, o.err = true, cause
	if o.timer != nil {
		o.timer.Stop()
	}
	close(o.stop)
	o.wake.Signal()
	return true
}

func (o *Outbox) drop() {
	for e := o.first; e != nil; e = e.next {
		e.discard()
	}
	o.forget()
}

func (o *Outbox) forget() {
	o.first, o.last, o.queued = nil, nil, 0
	o.room.Clear()
	clear(o.values)
	clear(o.states)
}

func (o *Outbox) push(e *entry) {
	e.prev = o.last
	if o.last == nil {
		o.first = e
	} else {
		o.last.next = e
	}
	o.last = e
	o.queued++
}

func (o *Outbox) remove(e *entry) {
	if e.prev == nil {
		o.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		o.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	o.queued--
	switch {
	case e.values != nil:
	case e.key != "":
		delete(o.values, e.key)
	default:
		o.room.Leave(e.frame)
		if isState(e.frame) {
			delete(o.states, e.frame.frameType())
		}
	}
}

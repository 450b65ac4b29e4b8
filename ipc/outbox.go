package ipc

import (
	"fmt"
	"sync"
	"time"
)

// OutboxOptions bounds an Outbox. Zero values take the default in brackets.
type OutboxOptions struct {
	MaxFrames int           // frames of Send that may wait before the next Send is refused [1024]
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
// Frames leave in the order in which they were sent. There are two ways in:
//
//	Send       notes, calls, orders: each one counts. Full when MaxFrames or MaxBytes wait: ErrFull
//	SendValue  states: only the newest of a key counts. Never full: at most one waits for each key
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
	queued   int               // all that wait
	flying   int               // taken by the writer and not written yet
	frames   int               // of Send
	bytes    int               // of Send
	closed   bool              // take nothing more, drop what waits
	flushing bool              // take nothing more, write what waits
	purpose  bool              // the owner wants the Conn closed
	flushFor time.Duration
	timer    *time.Timer
	err      error
}

// entry is a frame that waits.
type entry struct {
	frame      Frame
	key        string // of SendValue
	bytes      int
	prev, next *entry
}

// NewOutbox starts the writer. The owner ends it with Close or CloseAfterFlush, also after Done.
func NewOutbox(c *Conn, opts OutboxOptions) *Outbox {
	if opts.MaxFrames <= 0 {
		opts.MaxFrames = 1024
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = 4 << 20
	}
	if opts.Stuck <= 0 {
		opts.Stuck = time.Second
	}
	if opts.OnStuck == nil {
		opts.OnStuck = func(time.Duration) {}
	}
	o := &Outbox{conn: c, opts: opts, done: make(chan struct{}), stop: make(chan struct{}), values: map[string]*entry{}}
	o.wake.L = &o.mu
	go o.run()
	return o
}

// Send queues all of fs or none. It is refused with ErrFull when MaxFrames or MaxBytes are already waiting; a call that is
// accepted is taken whole, so that a snapshot of any size fits. It takes over payloads and files in any case.
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
	if o.frames >= o.opts.MaxFrames || o.bytes >= o.opts.MaxBytes {
		return fmt.Errorf("%w: %d frames with %d bytes wait, at most %d and %d", ErrFull, o.frames, o.bytes, o.opts.MaxFrames, o.opts.MaxBytes)
	}
	for _, f := range fs {
		e := &entry{frame: f, bytes: payloadOf(f).inlineLen()}
		o.frames++
		o.bytes += e.bytes
		o.push(e)
	}
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
		Discard(old.frame)
	}
	e := &entry{frame: f, key: key}
	o.values[key] = e
	o.push(e)
	o.wake.Signal()
	return nil
}

// pending is the number of frames that have not been handed to the kernel.
func (o *Outbox) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued + o.flying
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

// Take ends the outbox and gives back the frames that were not written, in their order: they are the caller's. One write
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
		Discard(e.frame)
	}
	o.forget()
}

func (o *Outbox) forget() {
	o.first, o.last, o.queued, o.frames, o.bytes = nil, nil, 0, 0, 0
	clear(o.values)
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
	if e.key != "" {
		delete(o.values, e.key)
	} else {
		o.frames--
		o.bytes -= e.bytes
	}
}

func (o *Outbox) run() {
	defer close(o.done)
	o.writeOut()
	o.mu.Lock()
	purpose := o.purpose
	o.mu.Unlock()
	// When the channel broke, the Conn stays open: what the peer wrote before it ended can still be read.
	if purpose {
		o.conn.Close()
	}
}

// writeOut writes until the outbox is closed, is flushed, or cannot write.
func (o *Outbox) writeOut() {
	var batch []Frame
	unread := 0 // large payloads written since the peer was last seen to have read everything
	for {
		var blocked bool
		batch, blocked = o.take(batch[:0], unread)
		if blocked {
			if !o.awaitReading() {
				return
			}
			unread = 0
			continue
		}
		if len(batch) == 0 {
			o.shut(nil)
			return
		}
		if p := payloadOf(batch[0]); p != nil && p.large() {
			unread++
		}
		err := o.write(batch)
		for i, f := range batch {
			Discard(f)
			batch[i] = nil
		}
		o.mu.Lock()
		o.flying = 0
		o.mu.Unlock()
		if err != nil {
			o.shut(err)
			return
		}
	}
}

// take waits for frames and moves the next write's worth of them to batch: one with descriptors, or as many without as
// fit batchBytes. An empty batch means the end; blocked means that the next one must wait for the peer to read.
func (o *Outbox) take(batch []Frame, unread int) (_ []Frame, blocked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.first == nil && !o.closed && !o.flushing {
		o.wake.Wait()
	}
	if o.closed {
		return batch, false
	}
	size := 0
	for e := o.first; e != nil; e = o.first {
		p := payloadOf(e.frame)
		large := p != nil && p.large()
		if large && unread >= maxLargeUnread && len(batch) == 0 {
			return batch, true
		}
		alone := descriptorCount(e.frame) > 0
		size += sizeHint(e.frame)
		if len(batch) > 0 && (alone || size > batchBytes) {
			break
		}
		o.remove(e)
		o.flying++
		batch = append(batch, e.frame)
		if alone {
			break
		}
	}
	return batch, false
}

// awaitReading waits until the peer has read everything. The kernel tells only when there is room, not when there is nothing
// left, so this asks it again and again, more and more seldom. False: the outbox was closed.
func (o *Outbox) awaitReading() bool {
	start := time.Now()
	told := false
	pause := 100 * time.Microsecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for o.conn.unread() > 0 {
		select {
		case <-o.stop:
			return false
		case <-timer.C:
		}
		if waiting := time.Since(start); !told && waiting >= o.opts.Stuck {
			told = true
			o.opts.OnStuck(waiting)
		}
		pause = min(2*pause, 20*time.Millisecond)
		timer.Reset(pause)
	}
	return true
}

func (o *Outbox) write(batch []Frame) error {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	b := (*buf)[:0]
	var err error
	for _, f := range batch {
		if b, err = appendFrame(b, f); err != nil {
			return err
		}
	}
	*buf = b[:0]
	fds, err := descriptors(batch[0])
	if err != nil {
		return err
	}
	return o.conn.send(b, fds, o.opts.Stuck, o.opts.OnStuck)
}

package ipc

import (
	"time"
)

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
		f := e.peek()
		p := payloadOf(f)
		large := p != nil && p.large()
		if large && unread >= maxLargeUnread && len(batch) == 0 {
			return batch, true
		}
		alone := descriptorCount(f) > 0
		size += sizeHint(f)
		if len(batch) > 0 && (alone || size > batchBytes) {
			break
		}
		o.pop(e)
		o.flying++
		batch = append(batch, f)
		if alone {
			break
		}
	}
	return batch, false
}

// pop takes the next frame of e, which is the first, with a reference to its payload.
func (o *Outbox) pop(e *entry) {
	if e.values == nil {
		o.remove(e)
		return
	}
	if e.at >= 0 {
		if p := e.values.sets[e.at].Payload; p != nil {
			p.Retain()
		}
	}
	if e.at++; e.at == len(e.values.sets) {
		o.remove(e)
		e.discard()
	}
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

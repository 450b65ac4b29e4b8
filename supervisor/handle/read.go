package handle

import (
	"errors"
	"time"

	"github.com/tinehq/tine/ipc"
)

// read posts each frame of the worker until its channel ends, and reads no faster than its allowance, which bounds what a worker
// costs the master. gone is closed when the process has ended: what it said before is then read at once.
func (w *Worker) read(conn *ipc.Conn, gone <-chan struct{}) {
	allowed := newAllowance(time.Now())
	for {
		frame, err := conn.Read()
		if err != nil {
			var broken *ipc.ProtocolError
			var lost *ipc.LostFilesError
			if !errors.As(err, &broken) && !errors.As(err, &lost) {
				// End of file, a reset when it died with unread frames, or our own close.
				err = nil
			}
			w.options.Post(ChannelEnded{Conn: conn, Err: err})
			return
		}
		switch f := frame.(type) {
		case ipc.Ack:
			w.acked.Store(f.Epoch)
		case ipc.Hello: // here, in the order of the acks
			w.acked.Store(f.Epoch)
		}
		cost := costOfFrame(frame)
		if _, ack := frame.(ipc.Ack); !ack && !w.hand(conn, frame) {
			return
		}
		if wait := allowed.pay(time.Now(), cost); wait > 0 {
			w.pause(wait, gone)
		}
	}
}

// hand posts a frame. Of those with a descriptor only one at a time is on its way to the loop,
// whose inbox would take hundreds.
func (w *Worker) hand(conn *ipc.Conn, frame ipc.Frame) bool {
	frame, large := prepare(frame)
	if !large {
		if !w.options.Post(Frame{Conn: conn, Frame: frame}) {
			ipc.Discard(frame)
			return false
		}
		return true
	}
	taken := make(chan struct{})
	if !w.options.Post(Frame{conn, frame, taken}) {
		ipc.Discard(frame)
		return false
	}
	select {
	case <-taken:
	case <-w.options.Done:
	}
	return true
}

// prepare does with a payload what takes time, here, where that holds up its own worker only: a small one that came in a
// descriptor gives it back, and a large value is read, so that the loop can compare it.
func prepare(frame ipc.Frame) (_ ipc.Frame, large bool) {
	switch f := frame.(type) {
	case ipc.Set:
		f.Payload = withoutFile(f.Payload)
		f.Payload.Prepare()
		return f, f.Payload.Mapped()
	case ipc.Message:
		f.Payload = withoutFile(f.Payload)
		return f, f.Payload.Mapped()
	case ipc.Call:
		f.Payload = withoutFile(f.Payload)
		return f, f.Payload.Mapped()
	case ipc.Reply:
		f.Payload = withoutFile(f.Payload)
		return f, f.Payload.Mapped()
	}
	return frame, false
}

// withoutFile returns a payload of the same bytes that holds no descriptor, if they are few.
func withoutFile(p *ipc.Payload) *ipc.Payload {
	if !p.Mapped() || p.Len() > ipc.HeapMax {
		return p
	}
	small, err := p.Retain().Inline()
	if err != nil {
		return p // a reader of its bytes gets an error
	}
	p.Release()
	return small
}

// pause waits for d, but no longer than the worker and the master live.
func (w *Worker) pause(d time.Duration, gone <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-gone:
	case <-w.options.Done:
	}
}

const (
	// allowedRate is how many bytes a worker may send in a second, for long.
	allowedRate = 256 << 20
	// allowedAtOnce is how many it may send at once: as many as all values that workers may have published, cache.MaxPublished.
	allowedAtOnce = 1 << 30
	// frameCost is for how many bytes each frame counts beside its payload.
	frameCost = 4 << 10
	// changeCost is the same for a change of a value, which goes to all workers.
	changeCost = 16 << 10
)

// costOfFrame is what a frame counts for, in bytes.
func costOfFrame(frame ipc.Frame) int64 {
	switch f := frame.(type) {
	case ipc.Set:
		return changeCost + int64(f.Payload.Len())
	case ipc.Delete:
		return changeCost
	case ipc.Message:
		return frameCost + int64(f.Payload.Len())
	case ipc.Call:
		return frameCost + int64(f.Payload.Len())
	case ipc.Reply:
		return frameCost + int64(f.Payload.Len())
	}
	return frameCost
}

// allowance bounds what comes from one worker: allowedAtOnce, which fills up again by allowedRate.
type allowance struct {
	left int64 // bytes; below 0: what it has to wait for
	at   time.Time
}

func newAllowance(now time.Time) *allowance { return &allowance{allowedAtOnce, now} }

// pay takes cost off and returns how long to wait before more may come: less than cost/allowedRate, which is 4 s and a bit for
// the largest value.
func (a *allowance) pay(now time.Time, cost int64) time.Duration {
	if passed := now.Sub(a.at); passed > 0 {
		filled := min(passed, allowedAtOnce/allowedRate*time.Second*2) // more does not count, nor does it overflow
		a.left = min(a.left+int64(filled.Seconds()*allowedRate), allowedAtOnce)
		a.at = now
	}
	a.left -= cost
	if a.left >= 0 {
		return 0
	}
	return time.Duration(float64(-a.left) / allowedRate * float64(time.Second))
}

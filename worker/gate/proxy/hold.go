package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/queue"
)

const (
	// heldBody bounds the body that is read ahead of a request that waits, in bytes. Only once the body is read does the server of
	// HTTP/1 see that a client goes. A longer one stays with the client, which is seen to be gone when its turn comes.
	heldBody = 64 << 10
	// unreadBody is what the server holds of a body that is not read ahead: a buffer of HTTP/1, or what a client of HTTP/2 may send
	// unasked.
	unreadBody, unreadBody2 = 4 << 10, 64 << 10
	// oneHeader is what a header takes beside its bytes.
	oneHeader = 32
)

// place picks a member, after a wait in the queue if there is none with a place. A new request does not pass by those that wait.
func (f *forwarding) place() (gate.Pick, error) {
	q := f.choice.Queue
	if q == nil || !q.Busy() {
		pick, err := f.ask()
		if err == nil || q == nil || answerOf(err, f.choice.Picker) == queue.Hopeless {
			return pick, err
		}
	}
	return f.hold(q)
}

// answerOf is what an error of Pick says to a queue.
func answerOf(err error, picker *gate.Picker) queue.Answer {
	switch {
	case err == nil:
		return queue.Placed
	case errors.Is(err, gate.ErrFull):
		return queue.Full
	case errors.Is(err, gate.ErrNoMember) && picker.Hopeful():
		return queue.NotReady
	}
	return queue.Hopeless
}

// hold waits in the queue. The error is that of the picker, a *queue.Shed, or why the client has gone.
func (f *forwarding) hold(q *queue.Queue) (pick gate.Pick, err error) {
	ahead, interrupted := f.readsAhead(), false
	turn := q.Join(queue.Request{
		Priority: f.priority(),
		Retry:    len(f.tried) > 0,
		Deadline: queue.Deadline(f.r.Header, f.began),
		Bytes:    f.held(),
		Place: func() queue.Answer {
			pick, err = f.ask()
			return answerOf(err, f.choice.Picker)
		},
		Interrupt: func() {
			if ahead && !f.body.ended.Load() {
				interrupted = true
				_ = http.NewResponseController(f.w).SetReadDeadline(time.Unix(1, 0))
			}
		},
	})
	if ahead {
		f.readAhead(turn)
	}
	select {
	case <-turn.Done():
	case <-f.r.Context().Done():
		if turn.Leave() {
			return gate.Pick{}, context.Cause(f.r.Context())
		}
	}
	<-turn.Done()
	f.access.Queued += turn.Waited()
	shed := (*queue.Shed)(nil)
	switch {
	case !errors.As(turn.Err(), &shed):
		if f.gone() {
			pick.Release()
			return gate.Pick{}, context.Cause(f.r.Context())
		}
		return pick, nil
	case shed.Reason == queue.NoMember:
		return gate.Pick{}, err
	}
	if interrupted {
		// The end of that read has ended the context too, which says no more of the client.
		f.stopped = true
		f.w.Header().Set("Connection", "close")
		_ = http.NewResponseController(f.w).SetReadDeadline(time.Now().Add(lastRead))
	}
	return gate.Pick{}, shed
}

// readsAhead reports whether the body is short enough, and not with the member in part.
func (f *forwarding) readsAhead() bool {
	return f.r.ProtoMajor == 1 && f.r.ContentLength > 0 && f.r.ContentLength <= heldBody && f.r.Header["Expect"] == nil &&
		!f.body.ended.Load() && !f.body.failed.Load() && !f.body.lost.Load()
}

// readAhead reads the body until its end, or until the wait is over. It is kept whole, so that the request can still be sent again.
func (f *forwarding) readAhead(turn *queue.Turn) {
	b := &f.body
	b.most = max(b.most, heldBody)
	for part := make([]byte, 4<<10); !b.ended.Load() && !b.failed.Load(); {
		select {
		case <-turn.Done():
			return
		default:
		}
		n, _ := b.fetch(part)
		b.kept = append(b.kept, part[:n]...)
	}
}

// held is about what the request takes while it waits, in bytes.
func (f *forwarding) held() int64 {
	n := len(f.r.RequestURI) + len(f.r.Host)
	for name, values := range f.r.Header {
		for _, v := range values {
			n += len(name) + len(v) + oneHeader
		}
	}
	body := int64(unreadBody)
	if f.r.ProtoMajor > 1 {
		body = unreadBody2
	} else if f.readsAhead() {
		body = heldBody
	}
	if f.r.ContentLength >= 0 {
		body = min(body, f.r.ContentLength)
	}
	return int64(n) + max(body, int64(len(f.body.kept)))
}

// priority is what a trusted client says it is.
func (f *forwarding) priority() int {
	if name := f.proxy.options.Priority; name != "" && f.proxy.trust.Has(f.r) {
		return queue.Priority(f.r.Header, name)
	}
	return queue.DefaultPriority
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/worker/gate"
)

const (
	// mostHead bounds the head of an answer, in bytes.
	mostHead = 1 << 20
	// inlineBody is how long a body may be to be sent before the answer is looked for, in bytes: the socket's buffers take it, whether
	// the member reads it or not. A longer one is sent beside, as the member may answer before it has read all.
	inlineBody = 64 << 10
)

// attempt sends the request to one member, and the answer to the client. An error that is no *unanswered comes after the answer has
// begun: it is told, and the request is over.
func (f *forwarding) attempt(pick gate.Pick) (gate.Outcome, error) {
	to, ctx := pick.Member().Address, f.r.Context()
	if _, f.ticketed = pick.Ticket(); f.ticketed {
		f.body.most = max(f.body.most, inlineBody)
	}
	if f.proxy.options.HTTP2 && !f.ticketed && upgradeOf(f.r) == "" {
		err := f.attemptHTTP2(to)
		return f.outcome(err), err
	}
	u, err := f.proxy.pool.take(ctx, to, f.proxy.options.DialTimeout)
	if err == nil {
		reused := u.reused // after the exchange u may already be another request's
		err = f.exchange(u)
		if f.neverBegan(err) {
			// What has ended was idle before, so that this says nothing of the member; or its worker has died, which is as if it had refused.
			err = &unanswered{err: fmt.Errorf("it had not begun: %w", err), lost: true, idle: reused}
		} else if early := (*unanswered)(nil); reused && !f.ticketed && errors.As(err, &early) && early.silent && f.body.rewind() && idempotent(f.r.Method) &&
			!errors.Is(err, os.ErrDeadlineExceeded) && !f.gone() {
			// The member has closed an idle connection at the very moment. That says nothing of the member.
			if u, err = f.proxy.pool.dial(ctx, to, f.proxy.options.DialTimeout); err == nil {
				err = f.exchange(u)
			}
		}
	}
	if early := (*unanswered)(nil); err != nil && !errors.As(err, &early) && u == nil {
		err = &unanswered{err: err}
	}
	return f.outcome(err), err
}

// outcome is what the end of an attempt says of the member.
func (f *forwarding) outcome(err error) gate.Outcome {
	early, cut, wish := (*unanswered)(nil), (*cutError)(nil), (*replayed)(nil)
	switch {
	case errors.As(err, &wish):
		return gate.Answered
	case f.gone(), errors.As(err, &early) && (early.client || early.idle), errors.As(err, new(*withdrawn)), errors.As(err, &cut) && cut.client:
		return gate.Cancelled
	case errors.As(err, &early) && !early.sent:
		return gate.Refused
	case err != nil, f.hasFailed(f.access.Status):
		return gate.Failed
	}
	return gate.Answered
}

// hasFailed reports whether a member says with a status that it, and not the request, is at fault.
func (f *forwarding) hasFailed(status int) bool {
	return slices.Contains(f.proxy.options.FailStatus, status)
}

// learn has the picker learn of the head of an answer that is passed on. How long the rest takes says nothing of the member: a stream or a
// tunnel lasts as long as it is wanted, and a download as long as the client needs for it.
func (f *forwarding) learn() {
	f.learned = true
	f.access.Begun = f.ticketed && f.pick.State() == tickets.Begun
	if f.hasFailed(f.access.Status) {
		f.conclude(gate.Failed, nil)
	} else {
		f.conclude(gate.Answered, nil)
	}
}

// conclude says how the attempt that is being made went. err is nil where the member has answered with a status.
func (f *forwarding) conclude(how gate.Outcome, err error) {
	f.pick.Learn(ipc.Monotonic(), how)
	if f.proxy.options.Outcome == nil || how == gate.Cancelled {
		return
	}
	why := ""
	switch {
	case how == gate.Answered:
	case err != nil:
		why = err.Error()
	default:
		why = fmt.Sprintf("it answered %d %s", f.access.Status, http.StatusText(f.access.Status))
	}
	f.proxy.options.Outcome(f.pick.Member().ID, how, why)
}

// cutError: an answer has begun and was not completed.
type cutError struct {
	err    error
	client bool // it is the client that has gone
}

func (e *cutError) Error() string { return "the answer was cut off: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// exchange sends the request on a connection and passes the answer on. It takes over u.
func (f *forwarding) exchange(u *upstream) (err error) {
	keep := false
	defer func() {
		if !keep {
			u.Close()
		}
	}()
	// When the client goes, what waits for the member is to end.
	stop := context.AfterFunc(f.r.Context(), func() { _ = u.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sending := f.send(u)
	defer sending.end(u)
	res, err := f.answer(u, sending)
	if err == nil {
		err = f.notBegun(res)
	}
	if err != nil {
		if errors.As(err, new(*withdrawn)) && stop() {
			keep, f.holds = true, false
			f.proxy.follow(u, f.pick)
		}
		return err
	}
	// res.Body is never closed: that would read it to its end. What is not wanted of it ends with the connection.
	if err := f.wantsReplay(res.Header); err != nil {
		sending.leave(u)
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if sending.end(u); !sending.done() {
			return &unanswered{err: errors.New("it changes the protocol before it has the whole request"), sent: true}
		}
		if !stop() {
			return &unanswered{err: context.Cause(f.r.Context()), sent: true}
		}
		err := f.tunnel(u, res)
		keep = f.tunnelled
		return err
	}
	if slices.Contains(f.proxy.options.RetryStatus, res.StatusCode) && f.body.again() && idempotent(f.r.Method) {
		return &unanswered{err: fmt.Errorf("it answered %s", res.Status), status: res.StatusCode, sent: true}
	}
	f.access.Status = res.StatusCode
	f.learn()
	if err := f.pass(res); err != nil {
		return err
	}
	sending.end(u)
	keep = !res.Close && sending.done() && u.in.Buffered() == 0 && stop()
	if keep {
		_ = u.SetDeadline(time.Time{})
		u.put()
	}
	return nil
}

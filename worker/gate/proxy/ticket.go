package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/worker/gate"
)

// A request to a worker of this host carries a ticket (package ipc/tickets), so that it is known whether it has begun there.
//
//	Pick: the row is sent ──▶ request with Tine-Ticket ──▶ an answer: as any other
//	                                   │
//	                                   ├─ 503 with Tine-Not-Begun, or the connection has ended, and the row can be withdrawn:
//	                                   │  it never began, and is sent again, whatever its method
//	                                   │
//	                                   └─ not begun in withdrawAfter, and another worker runs and has fewer requests: it is withdrawn and
//	                                      sent there. A straggler waits for what the first worker says of it

const (
	// withdrawAfter is how long a request may wait to be begun before it may go to another worker.
	withdrawAfter = 10 * time.Millisecond
	// lookMost bounds the time between two looks at a request that has not begun.
	lookMost = 80 * time.Millisecond
	// stragglerTime bounds the wait for a worker to see that a request was withdrawn. Its place is free after that.
	stragglerTime = 10 * time.Second
	// mostLost is how often a request may go to a member again where it has not begun, as its worker has died.
	mostLost = 3
)

// allowance bounds withdrawals: one for ten requests, and ten at once. A worker whose machine is too slow to begin requests is not helped by
// moving them.
type allowance struct{ spent atomic.Int64 } // tenths of a withdrawal

const (
	oneWithdrawal   = 10
	mostWithdrawals = 10 * oneWithdrawal // that are saved up
)

// request is a new request, which earns a tenth of a withdrawal.
func (a *allowance) request() {
	if a.spent.Load() > 0 {
		a.spent.Add(-1)
	}
}

// take takes a withdrawal, if there is one.
func (a *allowance) take() bool {
	if a.spent.Add(oneWithdrawal) <= mostWithdrawals {
		return true
	}
	a.give()
	return false
}

func (a *allowance) give() { a.spent.Add(-oneWithdrawal) }

// withdrawn: a request was taken back from a member where it had not begun, and has a place at another.
type withdrawn struct{ to gate.Pick }

func (e *withdrawn) Error() string {
	return fmt.Sprintf("it had not begun after %s, and was withdrawn: member %s had fewer requests", withdrawAfter, e.to.Member().ID)
}

// await waits for the first byte of an answer, and gives the request to another member meanwhile if it does not begin and can. A
// *withdrawn is that it does: nobody reads the answer then.
func (f *forwarding) await(u *upstream, s *sending) error {
	for look := withdrawAfter; ; look = min(2*look, lookMost) {
		_, err := u.in.Peek(1)
		switch {
		case err == nil:
			s.look(u, time.Time{}) // the rest of the head may take its time
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded), !s.untilLook():
			return err
		case f.pick.State() != tickets.Sent:
			s.look(u, time.Time{}) // it runs, and takes its time
			continue
		}
		if s.done() && f.body.again() && f.proxy.withdrawals.take() {
			if to, ok := f.choice.Picker.Instead(f.request(ipc.Monotonic()), f.pick); ok {
				if f.pick.Withdraw() {
					return &withdrawn{to}
				}
				to.Release()
			}
			f.proxy.withdrawals.give()
		}
		s.look(u, time.Now().Add(look))
	}
}

// neverBegan takes the ticket of an attempt back that has failed. true: the request has not begun there, and never will.
func (f *forwarding) neverBegan(err error) bool {
	early := (*unanswered)(nil)
	return f.ticketed && errors.As(err, &early) && early.silent && !early.client && !errors.Is(err, os.ErrDeadlineExceeded) && f.pick.Withdraw()
}

// notBegun reports, as an error, that the worker has answered that it did not begin the request. nil: the answer is its program's.
func (f *forwarding) notBegun(res *http.Response) error {
	if !f.ticketed || res.Header[tickets.NotBegun] == nil || f.pick.State() == tickets.Begun {
		return nil
	}
	return &unanswered{err: errors.New("its worker could not begin the request"), sent: true, silent: true}
}

// stragglers are requests that were withdrawn, until their workers have seen it. Their number is bounded by the rows that they hold.
type stragglers struct {
	mu   sync.Mutex
	over bool
	all  map[*upstream]struct{}
	wg   sync.WaitGroup
}

// follow takes over the connection and the place of a request that was withdrawn.
func (p *Proxy) follow(u *upstream, pick gate.Pick) {
	s := &p.stragglers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || u.SetDeadline(time.Now().Add(stragglerTime)) != nil {
		u.Close()
		pick.Release()
		return
	}
	if s.all == nil {
		s.all = map[*upstream]struct{}{}
	}
	s.all[u] = struct{}{}
	s.wg.Go(func() {
		keep := sawWithdrawal(u)
		s.mu.Lock()
		delete(s.all, u)
		s.mu.Unlock()
		if keep {
			u.put()
		} else {
			u.Close()
		}
		pick.Release()
	})
}

// sawWithdrawal waits for the answer that a request was not begun. It reports whether another one can be sent on the connection.
func sawWithdrawal(u *upstream) bool {
	u.limit.N = mostHead
	res, err := http.ReadResponse(u.in, nil)
	return err == nil && res.Header[tickets.NotBegun] != nil && res.ContentLength == 0 && !res.Close && u.in.Buffered() == 0 &&
		u.SetDeadline(time.Time{}) == nil
}

func (s *stragglers) close() {
	s.mu.Lock()
	s.over = true
	for u := range s.all {
		_ = u.SetDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	s.wg.Wait()
}

package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/queue"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// Options say how a Proxy passes requests on. Only Picker, or Route in its place, is needed.
type Options struct {
	Picker *gate.Picker

	// Queue is where requests wait that the picker cannot place: it is told of what the picker's Options.Released is told. nil: they
	// fail. Priority is the header that has the priority of a request (see queue.Priority); it counts if Trusted has the client. "": none.
	Queue    *queue.Queue
	Priority string

	// Key is what a request is picked by, where the picker goes by keys. nil, and where it returns "": the
	// client's IP address.
	Key func(*http.Request) string

	// Route says where each request goes. Picker, Queue and Key do not count then. It may look at the body by PeekBody.
	Route func(*http.Request) Choice

	// Evaluate, unless it is nil, is called once for a request before a member is picked, and returns when what is picked by is new
	// enough for it. prefers: the request prefers a member, see Choice. A request for which it fails is answered with 503 and the
	// error's text.
	Evaluate func(ctx context.Context, prefers bool) error

	// Replay says where a request goes that the member of a choice wants to be sent on; false: nowhere. nil: such a wish is not heard,
	// and the member's answer goes to the client. KeepBody bounds the body that is kept for it, in bytes, and for a request that is
	// sent again after a failure; 0: none is.
	Replay   func(*http.Request, Choice, Replay) (Choice, bool)
	KeepBody int

	// DialTimeout bounds the making of a connection; 0: 1 s. AnswerTimeout bounds the wait for the head of an answer once the request
	// is sent; 0: 60 s.
	DialTimeout, AnswerTimeout time.Duration

	// RetryStatus are statuses of an answer, of 502, 503 and 504, with which an idempotent request is sent to another member.
	RetryStatus []int

	// FailStatus are statuses of an answer by which a member has failed, as a picker sees it. nil: 502, 503 and 504.
	FailStatus []int

	// Outcome is told how each attempt at a member ended: why is of one that has failed. It is called by all requests at once. nil:
	// nothing is told.
	Outcome func(member string, how gate.Outcome, why string)

	// HTTP2 has members spoken to in HTTP/2 without TLS, by prior knowledge, but for upgrades, which are sent in HTTP/1.1.
	HTTP2 bool

	// Tunnels has those that upgrades become; nil: they end with this process.
	Tunnels *tunnel.Set

	// Trusted are the networks of proxies whose X-Forwarded-For, -Proto and -Host are believed and added to.
	Trusted []netip.Prefix

	// History remembers how requests were delivered; nil: nothing is remembered.
	History *history.History

	// Log is told of each request when it is over. It is called by all requests at once. nil: nothing is told.
	Log func(Access)
}

// Access is one request that is over.
type Access struct {
	ID     string // X-Request-Id
	Member string // that has answered, or was the last to be tried; "": none was
	Status int    // that the client got; 0: it was gone
	Tries  int    // members that it was sent to, or tried
	Took   time.Duration
	Queued time.Duration // for which it waited for a place

	// Of members that are workers of this host.
	Begun     bool // the last of them has begun it
	Withdrawn int  // how often it was taken back from one that did not begin it, and sent to another
	Resent    int  // how often it was sent again as one has ended, or had no use for it, before it began

	Err error // why it was not answered as it should; nil: it was
}

// Proxy passes requests on. It may be used by all goroutines at once.
type Proxy struct {
	options Options
	pool    pool
	http2   *conns // nil without Options.HTTP2
	budget  budget
	trust   Trust

	withdrawals allowance
	stragglers  stragglers
}

// New makes a Proxy. Close gives up its connections.
func New(o Options) (*Proxy, error) {
	o.Priority = http.CanonicalHeaderKey(o.Priority)
	if o.Picker == nil && o.Route == nil {
		return nil, errors.New("cannot make a proxy without a picker or a route")
	}
	for _, s := range o.RetryStatus {
		if s < http.StatusBadGateway || s > http.StatusGatewayTimeout {
			return nil, fmt.Errorf("cannot retry on status %d: 502, 503 or 504 is expected", s)
		}
	}
	if o.FailStatus == nil {
		o.FailStatus = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = time.Second
	}
	if o.AnswerTimeout <= 0 {
		o.AnswerTimeout = time.Minute
	}
	if o.Tunnels == nil {
		o.Tunnels = tunnel.New(tunnel.Options{})
	}
	p := &Proxy{options: o, trust: o.Trusted}
	if o.HTTP2 {
		p.http2 = newConns(o.DialTimeout)
	}
	return p, nil
}

// Close closes the idle connections to members. Those in use are closed when their requests are over.
func (p *Proxy) Close() {
	p.stragglers.close()
	p.pool.close()
	if p.http2 != nil {
		p.http2.close()
	}
}

// ServeHTTP passes r on to a member. It panics with http.ErrAbortHandler where the answer has begun and cannot be completed, so that
// the server ends the client's connection.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	f := &forwarding{proxy: p, w: w, r: r, began: began}
	f.body.ReadCloser = r.Body
	if p.options.Replay != nil {
		f.body.most = p.options.KeepBody
	}
	f.access.ID = requestID(r)
	w.Header().Set("X-Request-Id", f.access.ID)
	if !r.ProtoAtLeast(1, 1) {
		// net/http drops a Transfer-Encoding of HTTP/1.0 unread, and takes the body for the next request.
		w.Header().Set("Connection", "close")
	}
	p.budget.request(began)
	p.withdrawals.request()
	f.decision = p.options.History.Begin(f.access.ID)
	defer func() {
		f.decision.End(f.access.Status, f.access.Err)
		if p.options.Log != nil && !f.tunnelled {
			f.access.Took = time.Since(began)
			p.options.Log(f.access)
		}
	}()
	if status, text := unfit(r); status != 0 {
		f.reject(status, text, errors.New(text))
		return
	}
	asked := f.peekable()
	f.choice = p.choose(asked)
	if p.options.Evaluate != nil && (f.choice.Picker != nil || f.choice.Handler != nil) {
		f.decision.Picking(ipc.Monotonic()) // the wait is one for a member
		if err := p.options.Evaluate(r.Context(), f.choice.Prefer != ""); err != nil {
			f.refuse(nil, err)
			return
		}
	}
	if f.choice.Picker == nil || f.choice.Handler != nil {
		f.answerHere(asked)
		return
	}
	f.deliver()
}

// forwarding is one request on its way.
type forwarding struct {
	proxy  *Proxy
	w      http.ResponseWriter
	r      *http.Request
	began  time.Time
	body   body
	tried  []gate.Pick
	access Access

	decision *history.Decision // nil: nothing is remembered
	choice   Choice
	replays  int // how often a member had the request sent on

	pick      gate.Pick // of the attempt that is being made
	holds     bool      // its place is to be released here
	ticketed  bool      // it has a ticket
	learned   bool      // the picker knows how it went
	tunnelled bool      // it has become a tunnel, which outlives ServeHTTP

	stopped bool // the reading of the client's body was ended here, and its context with it
}

// gone reports whether the client has gone, as far as is known.
func (f *forwarding) gone() bool { return !f.stopped && f.r.Context().Err() != nil }

// deliver tries members until one has answered, or none is left that may be tried.
func (f *forwarding) deliver() {
	var failed error
	var moved *withdrawn // to where; nil: a member is to be picked
	defer func() {       // where a handler of the program has panicked
		if f.holds {
			f.pick.Release()
		}
	}()
	for {
		var pick gate.Pick
		var err error
		if moved != nil {
			pick, moved = moved.to, nil
		} else if pick, err = f.place(); err != nil {
			f.refuse(failed, err)
			return
		}
		f.pick, f.holds, f.learned = pick, true, false
		f.access.Member, f.access.Tries = pick.Member().ID, f.access.Tries+1
		f.decision.Picked(f.access.Member)
		outcome, err := f.attempt(pick)
		f.decision.Tried(outcome, err)
		if !f.learned || outcome == gate.Failed && err != nil {
			f.conclude(outcome, err)
		}
		if f.tunnelled {
			f.holds = false
			return // its end gives the place back
		}
		f.access.Begun = f.ticketed && pick.State() == tickets.Begun
		if errors.As(err, &moved) {
			f.access.Withdrawn++
			f.body.rewind()
			f.tried = append(f.tried, pick)
			if f.holds { // nobody follows it
				pick.Release()
			}
			continue
		}
		f.holds = false
		pick.Release()
		if err == nil {
			return
		}
		if wish := (*replayed)(nil); errors.As(err, &wish) {
			if err := f.replay(wish); err != nil {
				err = fmt.Errorf("member %s: %w", pick.Member().ID, err)
				f.reject(http.StatusBadGateway, "the server wants the request to be sent on, and it cannot be", err)
				return
			}
			f.tried, failed = append(f.tried, pick), nil
			continue
		}
		if early := (*unanswered)(nil); !errors.As(err, &early) {
			f.access.Err = err
			panic(http.ErrAbortHandler) // the answer has begun: the client must see that it is not all
		}
		failed = fmt.Errorf("member %s: %w", pick.Member().ID, err)
		lost := (*unanswered)(nil)
		if errors.As(err, &lost) && lost.lost {
			f.access.Resent++
		}
		if lost == nil || !lost.lost || f.access.Resent > mostLost { // else its slot has a worker again, or soon
			f.tried = append(f.tried, pick)
		}
		if !f.mayRetry(err) {
			f.refuse(failed, nil)
			return
		}
	}
}

// ask picks a member.
func (f *forwarding) ask() (gate.Pick, error) {
	r := f.request(ipc.Monotonic())
	r.Seen = f.decision.Picking(r.Now)
	return f.choice.Picker.Pick(r)
}

// request is what a member is picked for at now.
func (f *forwarding) request(now int64) gate.Request {
	return gate.Request{
		Key: cmp.Or(f.choice.Key, f.proxy.trust.ClientIP(f.r)), Now: now, Tried: f.tried, Prefer: f.choice.Prefer, Draining: f.choice.Draining,
	}
}

// unanswered is why a member has not answered, and whether the request has reached it.
type unanswered struct {
	err    error
	status int  // that was answered, and is retried
	sent   bool // it may have begun the request
	silent bool // and not a byte of an answer came
	idle   bool // the connection had been idle before, and was about to end
	lost   bool // it has a ticket that did not begin, and never will
	client bool // the fault is the client's: no other member would do better
}

func (u *unanswered) Error() string { return u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// mayRetry reports whether the request may go to another member after err.
func (f *forwarding) mayRetry(err error) bool {
	u := (*unanswered)(nil)
	if !errors.As(err, &u) || u.client || !f.body.rewind() || f.gone() {
		return false
	}
	if u.sent && errors.Is(err, os.ErrDeadlineExceeded) {
		return false // the client has waited for long, and the next member would do the same work
	}
	return !u.sent || idempotent(f.r.Method) && f.proxy.budget.retry(time.Now())
}

// idempotent reports whether a request of the method may be begun twice: RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete}, method)
}

// refuse answers for the members: failed is how the last try went, none why there is no other.
func (f *forwarding) refuse(failed, none error) {
	status, text := http.StatusBadGateway, ""
	u := (*unanswered)(nil)
	switch {
	case f.gone():
		f.access.Err = context.Cause(f.r.Context())
		panic(http.ErrAbortHandler) // the client is gone; the server would send 200
	case failed == nil:
		status, text = http.StatusServiceUnavailable, none.Error()
		f.w.Header().Set("Retry-After", "1")
	case errors.As(failed, &u) && u.status != 0:
		status, text = u.status, "the server answered so"
	case u != nil && u.client:
		status, text = clientFault(failed)
	case u != nil && u.sent && errors.Is(failed, os.ErrDeadlineExceeded):
		status, text = http.StatusGatewayTimeout, "the server did not answer in time"
	default:
		text = "the server did not answer"
	}
	f.reject(status, text, errors.Join(failed, none))
}

// clientFault is what a client is told whose body has failed.
func clientFault(err error) (status int, text string) {
	long := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &long):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", long.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "the body came too slowly"
	}
	return http.StatusBadRequest, "the body of the request cannot be read"
}

// reject answers with a status and why.
func (f *forwarding) reject(status int, text string, why error) {
	f.access.Status, f.access.Err = status, why
	if f.r.ProtoMajor == 1 && f.body.touched.Load() && !f.body.ended.Load() || status == http.StatusBadRequest {
		f.w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	http.Error(f.w, fmt.Sprintf("%d %s: %s (request %s)", status, http.StatusText(status), text, f.access.ID), status)
}

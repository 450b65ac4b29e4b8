package evaluate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
)

// The defaults, and the bounds of all times.
const (
	DefaultRequestTimeout = time.Second
	DefaultInterval       = time.Second // ValidTimeout of Continuous
	MinTime               = 10 * time.Millisecond
	MaxTime               = time.Hour
)

// Options of an Evaluator.
type Options struct {
	Mode Mode // "": OnRequest

	// RequestTimeout is the time in which a member must have answered; 0: 1 s.
	RequestTimeout time.Duration
	// ValidTimeout is how long a result counts on request; 0: for the requests that wait for it alone. Of Continuous it is the interval; 0:
	// 1 s.
	ValidTimeout time.Duration

	// Ask gets the statistics of a member. It is called in a goroutine of its own and returns soon after ctx ends.
	Ask func(ctx context.Context, m *members.Member) (members.Report, error)
	// Publish gets each table with the reports of the members that take part, and the others aside. It is called in one goroutine, in
	// order, and before Await returns for the requests that it is for.
	Publish func(members.Table)

	Log *slog.Logger // nil: nothing is told
}

// check says what is wrong with o, and fills in the defaults.
func (o *Options) check() error {
	switch o.Mode {
	case "":
		o.Mode = OnRequest
	case OnRequest, Continuous:
	default:
		return fmt.Errorf("cannot evaluate servers %q: %s or %s is expected", o.Mode, OnRequest, Continuous)
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.ValidTimeout == 0 && o.Mode == Continuous {
		o.ValidTimeout = DefaultInterval
	}
	if o.RequestTimeout < MinTime || o.RequestTimeout > MaxTime {
		return fmt.Errorf("cannot evaluate servers: the request timeout is %s, and %s to %s is expected", o.RequestTimeout, MinTime, MaxTime)
	}
	if o.ValidTimeout != 0 && (o.ValidTimeout < MinTime || o.ValidTimeout > MaxTime) {
		return fmt.Errorf("cannot evaluate servers: the valid timeout is %s, and %s to %s is expected", o.ValidTimeout, MinTime, MaxTime)
	}
	if o.Ask == nil || o.Publish == nil {
		return errors.New("cannot evaluate servers without a way to ask them, or nobody to tell")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Evaluator asks members and publishes what they answer. Table and Await may be called from any goroutine, before Run and after its end
// too.
type Evaluator struct {
	options Options
	events  chan any           // for Run
	awaits  chan chan<- error  // of requests that wait
	until   atomic.Int64       // nanoseconds of ipc.Monotonic: so long no request waits
	some    atomic.Bool        // there has been a result
	done    chan struct{}      // closed at the end of Run
	tables  chan members.Table // the newest that Run has not taken
	mu      sync.Mutex         // of the filling of tables
}

// New makes an Evaluator, which does nothing until Run.
func New(o Options) (*Evaluator, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Evaluator{options: o, events: make(chan any), awaits: make(chan chan<- error), done: make(chan struct{}), tables: make(chan members.Table, 1)}, nil
}

// ErrEnded is the error of Await when Run has ended.
var ErrEnded = errors.New("servers are not evaluated any more")

// Table gives the table of the master. It must not be changed any more. It does not wait: of several the newest counts.
func (e *Evaluator) Table(t members.Table) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.tables:
	default:
	}
	e.tables <- t
}

// Await returns when there is a result that counts for a request which comes now, and has been published. In continuous mode it waits for
// the first result alone, and so it does for a request that prefers a member, which has been picked by an earlier result. The error is
// a [*NoneError], ErrEnded, or that of ctx.
func (e *Evaluator) Await(ctx context.Context, prefers bool) error {
	if prefers && e.some.Load() || ipc.Monotonic() < e.until.Load() {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case e.awaits <- answer:
	case <-e.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-e.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run evaluates until ctx ends. It returns when no question is under way any more. It is called once.
func (e *Evaluator) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	defer close(e.done)
	defer e.until.Store(0)
	o := &e.options
	c := core{mode: o.Mode, requestTimeout: int64(o.RequestTimeout), validTimeout: int64(o.ValidTimeout)}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var waiting []chan<- error
	step := func(event any) {
		for _, effect := range c.step(ipc.Monotonic(), event) {
			switch f := effect.(type) {
			case ask:
				asking.Go(func() { e.ask(ctx, &f.member) })
			case publish:
				o.Publish(f.table)
			case wake:
				e.until.Store(f.until)
				e.some.Store(f.err == nil)
				for _, answer := range waiting {
					answer <- f.err
				}
				waiting = nil
			case told:
				e.tell(f)
			}
		}
	}
	for {
		if at := c.deadline(); at != forever {
			timer.Reset(time.Duration(at - ipc.Monotonic()))
		} else {
			timer.Stop()
		}
		select {
		case event := <-e.events:
			step(event)
		case t := <-e.tables:
			step(listed{t})
		case answer := <-e.awaits:
			select {
			case t := <-e.tables: // it was given before the request came
				step(listed{t})
			default:
			}
			waiting = append(waiting, answer)
			step(wanted{})
		case <-timer.C:
			step(tick{})
		case <-ctx.Done():
			return
		}
	}
}

// ask asks one member, and tells Run.
func (e *Evaluator) ask(ctx context.Context, m *members.Member) {
	asked, cancel := context.WithTimeout(ctx, e.options.RequestTimeout)
	defer cancel()
	r, err := e.options.Ask(asked, m)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %s", e.options.RequestTimeout)
	}
	select {
	case e.events <- answered{m.ID, r, err}:
	case <-ctx.Done():
	}
}

func (e *Evaluator) tell(t told) {
	level, args := slog.LevelInfo, []any{}
	if t.warn {
		level = slog.LevelWarn
	}
	if t.id != "" {
		args = append(args, "member", t.id)
	}
	if t.why != "" {
		args = append(args, "why", t.why)
	}
	e.options.Log.Log(context.Background(), level, t.text, args...)
}

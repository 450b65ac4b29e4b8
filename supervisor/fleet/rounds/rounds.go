package rounds

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// Options say how often members are asked. The zero value has the defaults.
type Options struct {
	Every   time.Duration // between two questions to one member; default 1 s
	Timeout time.Duration // of a question; default 1 s
	Jitter  float64       // Every is longer or shorter by up to this share, 0 to 1; default 0.1; below 0: none
	AtOnce  int           // questions at one time; default 256
}

// Rounds asks members. Make one with New.
type Rounds struct {
	options Options
	news    chan struct{}

	mu  sync.Mutex
	all []members.Member
}

// New makes Rounds without members.
func New(o Options) *Rounds {
	o.Every, o.Timeout = cmp.Or(o.Every, time.Second), cmp.Or(o.Timeout, time.Second)
	o.Jitter, o.AtOnce = min(max(cmp.Or(o.Jitter, 0.1), 0), 1), cmp.Or(o.AtOnce, 256)
	return &Rounds{options: o, news: make(chan struct{}, 1)}
}

// Timeout is that of a question.
func (r *Rounds) Timeout() time.Duration { return r.options.Timeout }

// Update makes all the members that are asked. The caller does not change them any more. Update does not block, and may be called by any
// goroutine, also before Run.
func (r *Rounds) Update(all []members.Member) {
	r.mu.Lock()
	r.all = all
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// least is the shortest wait: questions that are due within it are asked together.
const least = 5 * time.Millisecond

// Run calls ask for each question, in a goroutine of its own, until ctx is done; it returns when all have returned. The ctx of ask ends
// with DeadlineExceeded after Options.Timeout, and with Canceled where the answer does not count any more.
func (r *Rounds) Run(ctx context.Context, ask func(ctx context.Context, m members.Member)) {
	p := &plan{options: r.options, random: rand.Float64, rows: map[string]*row{}}
	cancels := map[uint64]context.CancelFunc{}
	answers := make(chan question)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		if ctx.Err() == nil {
			for _, q := range p.ask(now) {
				one, cancel := context.WithTimeout(ctx, r.options.Timeout)
				cancels[q.number] = cancel
				go func() {
					ask(one, q.member)
					answers <- q
				}()
			}
		} else if p.asking == 0 {
			return
		}
		wait := time.Hour
		if at := p.deadline(); !at.IsZero() {
			wait = max(at.Sub(now), least)
		}
		timer.Reset(wait)
		done := ctx.Done()
		if ctx.Err() != nil {
			done = nil
		}
		select {
		case <-done:
		case <-timer.C:
		case <-r.news:
			r.mu.Lock()
			all := r.all
			r.mu.Unlock()
			for _, number := range p.update(time.Now(), all) {
				cancels[number]()
			}
		case q := <-answers:
			cancels[q.number]()
			delete(cancels, q.number)
			p.answered(q)
		}
	}
}

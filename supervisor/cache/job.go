package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	defaultEvery   = 5 * time.Second
	defaultTimeout = 5 * time.Second

	// firstRetry is the pause after the first failure as long as there is no value yet; it doubles up to Every.
	firstRetry = 100 * time.Millisecond
	// courtesy is how long a fetch may take to return once its time is up, before it is said to hang.
	courtesy = 250 * time.Millisecond
)

// Job is one value that is kept fresh.
type Job struct {
	Key     string
	Source  Source
	Every   time.Duration // from start to start; 0: 5s
	Timeout time.Duration // of one fetch; 0: 5s. It may be more than Every: a fetch that takes longer delays the next
	Jitter  float64       // share of Every, 0 to 1, by which each interval varies at random
	Known   bool          // there is a value from before: a failure is not tried again sooner than Every
}

// Result is what one fetch yielded: a payload, whose reference is the receiver's, or an error.
type Result struct {
	Key     string
	Payload *ipc.Payload
	Err     error
	Took    time.Duration
}

// RunJob fetches now and then every interval, and posts each result, until ctx is done. It returns then even if a fetch hangs;
// that one's goroutine ends when the fetch returns. There is never more than one fetch. After it the source is closed.
//
// Between fetches it costs one timer.
func RunJob(ctx context.Context, j Job, post func(Result)) {
	if j.Every <= 0 {
		j.Every = defaultEvery
	}
	if j.Timeout <= 0 {
		j.Timeout = defaultTimeout
	}
	r := runner{Job: j, post: post, hasValue: j.Known, retry: min(firstRetry, j.Every)}
	defer r.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		started := time.Now()
		r.round(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(time.Until(started.Add(r.pause())))
	}
}

// runner is the state of a job between its rounds.
type runner struct {
	Job
	post     func(Result)
	hasValue bool
	retry    time.Duration // next pause as long as there is no value
	out      *fetch        // the fetch that has not returned
}

// fetch is one call of Fetch in a goroutine of its own, so that it can be left behind.
type fetch struct {
	started time.Time
	done    chan struct{} // closed after payload and err are set
	payload *ipc.Payload
	err     error
}

// round fetches once and posts the result.
func (r *runner) round(ctx context.Context) {
	if r.out != nil {
		select {
		case <-r.out.done:
			r.out.discard()
			r.out = nil
		default:
			r.hangs()
			return
		}
	}
	fetching, cancel := context.WithTimeoutCause(ctx, r.Timeout, timedOut{r.Timeout})
	defer cancel()
	f := &fetch{started: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.payload, f.err = r.Source.Fetch(fetching)
	}()
	select {
	case <-f.done:
	case <-fetching.Done():
		grace := time.NewTimer(courtesy)
		defer grace.Stop()
		select {
		case <-f.done:
		case <-grace.C:
			r.out = f
		}
	}
	switch {
	case ctx.Err() != nil:
		// No caller waits for a result any more.
		if r.out == nil {
			f.discard()
		}
	case r.out != nil:
		r.hangs()
	case f.err != nil:
		// A source may know more than that its time was up, such as what the command said.
		var late timedOut
		if fetching.Err() != nil && !errors.As(f.err, &late) {
			f.err = fmt.Errorf("%w: %w", context.Cause(fetching), f.err)
		}
		r.post(Result{Key: r.Key, Err: f.err, Took: time.Since(f.started)})
	default:
		r.hasValue = true
		r.post(Result{Key: r.Key, Payload: f.payload, Took: time.Since(f.started)})
	}
}

// hangs posts that the fetch which is out does not return though its timeout is over. What it may return in the end is
// thrown away, and no other fetch begins before.
func (r *runner) hangs() {
	took := time.Since(r.out.started)
	hanging := max(took-r.Timeout, 1)
	r.post(Result{
		Key:  r.Key,
		Err:  fmt.Errorf("%w, and the source hangs for %s since", timedOut{r.Timeout}, hanging.Round(time.Second/10)),
		Took: took,
	})
}

// pause is the time from the start of this round to that of the next.
func (r *runner) pause() time.Duration {
	pause := r.Every
	if !r.hasValue {
		pause = r.retry
		r.retry = min(2*r.retry, r.Every)
	}
	return pause + time.Duration((2*rand.Float64()-1)*r.Jitter*float64(pause))
}

// close closes the source, now or when the fetch that is out has returned.
func (r *runner) close() {
	closer, ok := r.Source.(io.Closer)
	f := r.out
	if f == nil {
		if ok {
			_ = closer.Close()
		}
		return
	}
	go func() {
		<-f.done
		f.discard()
		if ok {
			_ = closer.Close()
		}
	}()
}

func (f *fetch) discard() {
	if f.payload != nil {
		f.payload.Release()
	}
}

// timedOut is the cause of a fetch's end by its timeout.
type timedOut struct{ after time.Duration }

func (e timedOut) Error() string { return "no answer within " + e.after.String() }

// Is makes it a deadline error for those who look for one.
func (timedOut) Is(target error) bool { return target == context.DeadlineExceeded }

package control

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	maxPending     = 256 << 10             // bytes that wait for a reader, not counting the last item
	keepBuffer     = 1 << 20               // a buffer that grew beyond is not kept
	headDelay      = 50 * time.Millisecond // how long a stream of what happens may still turn into an error
	keepAliveEvery = 15 * time.Second
)

var errReaderCut = errors.New("the reader was cut: it does not read")

// stream is an answer that is written as it comes. The handler's goroutine puts items
// in; another one writes all that waits at once, so that a single item goes out
// without delay and many go out together.
//
// It is bounded: when too much waits, emit blocks, which is how the Commander learns
// that this reader is slow; when the reader takes nothing for the time of a write, the
// connection is cut.
type stream struct {
	w           *answerWriter
	contentType string
	headAfter   time.Duration // the head goes out without an item; 0: with the first item
	keepAlive   []byte        // nil: none
	cancel      context.CancelCauseFunc

	mu      sync.Mutex
	pending bytes.Buffer
	failed  error
	wake    chan struct{} // something waits
	room    chan struct{} // there is room again
	finish  chan struct{} // no more comes
	done    chan struct{} // the writer has returned
	begun   bool          // only the writer, until done
}

// stream runs produce, with a context that ends when the reader goes away or is cut,
// and, if the stream is endless, as soon as the server is closed. produce's error is that of the request as long as nothing was
// written; after that, the connection is broken off, so that the reader sees that the
// stream is not whole. headAfter is how long a reader waits at most to see that the
// stream has begun; 0 is for one whose error has to arrive however late it comes.
func (rq *request) stream(contentType string, headAfter time.Duration, keepAlive []byte, endless bool, produce func(context.Context, *stream) error) error {
	if rq.r.Method == http.MethodHead {
		rq.w.Header().Set("Content-Type", contentType)
		rq.w.WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := context.WithCancelCause(rq.r.Context())
	defer cancel(nil)
	if endless {
		defer context.AfterFunc(rq.s.streaming, func() { cancel(nil) })()
	}
	st := &stream{
		w: rq.w, contentType: contentType, headAfter: headAfter, keepAlive: keepAlive, cancel: cancel,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		finish: make(chan struct{}), done: make(chan struct{}),
	}
	go st.write()
	err := func() error {
		defer func() { // also when produce panics
			close(st.finish)
			<-st.done
		}()
		return produce(ctx, st)
	}()
	switch {
	case st.failed != nil:
		if errors.Is(st.failed, os.ErrDeadlineExceeded) { // else it went away
			rq.s.log.Warn().Str("path", rq.r.URL.Path).Err(st.failed).Msg("a reader was cut: it did not read")
		}
		panic(http.ErrAbortHandler)
	case err == nil, errors.Is(err, context.Canceled):
		st.head() // of a stream without an item
		return nil
	case !st.begun:
		return err
	case errors.Is(err, api.ErrCut):
		panic(http.ErrAbortHandler)
	}
	rq.s.log.Error().Str("path", rq.r.URL.Path).Err(err).Msg("a control stream broke off")
	panic(http.ErrAbortHandler)
}

// emit puts in what encode appends. It blocks while too much waits.
func (st *stream) emit(ctx context.Context, item []byte) error {
	for {
		st.mu.Lock()
		failed, full := st.failed, st.pending.Len() >= maxPending
		if failed == nil && !full {
			st.pending.Write(item)
		}
		st.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case !full:
			signal(st.wake)
			return nil
		}
		select {
		case <-st.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (st *stream) write() {
	defer close(st.done)
	var out bytes.Buffer
	timer := time.NewTimer(st.headAfter)
	defer timer.Stop()
	if st.headAfter == 0 {
		timer.Stop()
	}
	for finished := false; !finished; {
		var quiet bool
		select {
		case <-st.wake:
		case <-st.finish:
			finished = true
		case <-timer.C:
			quiet = true
		}
		if err := st.writePending(&out, quiet); err != nil {
			st.mu.Lock()
			st.failed = err
			st.mu.Unlock()
			signal(st.room)
			st.cancel(errReaderCut)
			<-st.finish
			return
		}
		if st.begun && st.keepAlive != nil {
			timer.Reset(keepAliveEvery)
		}
	}
}

// writePending writes what waits, and when nothing does and it was quiet for long, the
// head or a sign of life.
func (st *stream) writePending(out *bytes.Buffer, quiet bool) error {
	st.mu.Lock()
	*out, st.pending = st.pending, *out
	st.mu.Unlock()
	signal(st.room)
	if out.Len() == 0 && quiet && st.begun {
		out.Write(st.keepAlive)
	}
	if out.Len() > 0 || quiet {
		st.head()
		if _, err := st.w.Write(out.Bytes()); err != nil {
			return err
		}
		if err := st.w.FlushError(); err != nil {
			return err
		}
	}
	if out.Cap() > keepBuffer {
		*out = bytes.Buffer{}
	}
	out.Reset()
	return nil
}

func (st *stream) head() {
	if st.begun {
		return
	}
	st.begun = true
	h := st.w.Header()
	h.Set("Content-Type", st.contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // for a proxy before a page: pass it on as it comes
	st.w.WriteHeader(http.StatusOK)
}

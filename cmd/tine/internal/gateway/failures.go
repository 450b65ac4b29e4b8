package gateway

import (
	"log/slog"
	"sync"
	"time"

	"github.com/tinehq/tine/worker/gate/proxy"
)

// failures logs the requests that were not answered as they should, but not more of them than a log can take.
type failures struct {
	log   *slog.Logger
	limit limiter
}

// mostFailures is how many are logged in a second.
const mostFailures = 10

// limiter says what of many things is told.
type limiter struct {
	mu    sync.Mutex
	until time.Time // of the second in which told were told
	told  int
	more  int // were not
}

// take reports whether one more is told at now, and how many were not in the seconds before, once.
func (l *limiter) take(now time.Time) (ok bool, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.until) {
		more = l.more
		l.until, l.told, l.more = now.Add(time.Second), 0, 0
	}
	if l.told == mostFailures {
		l.more++
		return false, more
	}
	l.told++
	return true, more
}

func (f *failures) tell(a proxy.Access) {
	if a.Err == nil || a.Status == 0 { // the client has gone
		return
	}
	ok, more := f.limit.take(time.Now())
	if more > 0 {
		f.log.Error("more requests have failed", "requests", more)
	}
	if !ok {
		return
	}
	f.log.Error("request failed", "id", a.ID, "status", a.Status, "member", a.Member, "tries", a.Tries, "took", a.Took.Round(time.Millisecond), "error", a.Err)
}

package gateway

import (
	"log/slog"
	"sync"
	"time"

	"github.com/tinehq/tine/worker/gate/proxy"
)

// failures logs the requests that were not answered as they should, but not more of them than a log can take.
type failures struct {
	log *slog.Logger

	mu    sync.Mutex
	until time.Time // of the second in which told were told
	told  int
	more  int // were not
}

// mostFailures is how many are logged in a second.
const mostFailures = 10

func (f *failures) tell(a proxy.Access) {
	if a.Err == nil || a.Status == 0 { // the client has gone
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.After(f.until) {
		if f.more > 0 {
			f.log.Error("more requests have failed", "requests", f.more)
		}
		f.until, f.told, f.more = now.Add(time.Second), 0, 0
	}
	if f.told == mostFailures {
		f.more++
		return
	}
	f.told++
	f.log.Error("request failed", "id", a.ID, "status", a.Status, "member", a.Member, "tries", a.Tries, "took", a.Took.Round(time.Millisecond), "error", a.Err)
}

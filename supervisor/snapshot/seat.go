package snapshot

import (
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// Seat is a worker's row of the scoreboard, for readers in any goroutine. The loop, which owns the scoreboard, calls Leave
// before the row is another worker's or is unmapped.
type Seat struct {
	mu   sync.RWMutex
	row  *ipc.Row // nil: the worker has left
	last ipc.Stats
}

// Load is what a worker does and has done.
type Load struct {
	InFlight int           // requests
	Oldest   time.Duration // age of the oldest request in flight; 0: none
	Open     int           // connections
	Stats    ipc.Stats
}

// Take is the seat of the worker that has row.
func Take(row *ipc.Row) *Seat { return &Seat{row: row} }

// Load reads the row. The worker may have written anything there. After Leave it has the worker's last counts, and nothing under
// way.
func (s *Seat) Load() Load {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.row == nil {
		return Load{Stats: s.last}
	}
	st := s.row.Stats()
	l := Load{InFlight: s.row.InFlight(), Open: int(max(int64(st.Opened-st.Closed), 0)), Stats: st}
	if start, ok := s.row.Oldest(); ok {
		l.Oldest = max(time.Duration(ipc.Monotonic()-start), 1)
	}
	return l
}

// Leave ends the use of the row and returns the worker's last counts, without its open connections and its requests in flight:
// those have ended with the worker. It waits for a Load under way, some microseconds. Called again it returns the same.
func (s *Seat) Leave() ipc.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row != nil {
		s.last = s.row.Stats()
		s.last.Closed = s.last.Opened
		s.last.Goroutines, s.last.Heap, s.last.GCPause = 0, 0, 0
		s.row = nil
	}
	return s.last
}

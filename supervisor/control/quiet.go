package control

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Quiet counts the connections of an http.Server that have a request under way, or have
// been accepted for their first. Its State is to be the server's ConnState.
//
// http.Server.Shutdown closes a connection without an answer whose first request it has
// not read yet. A server that hands its listener on waits for them before.
type Quiet struct {
	mu   sync.Mutex
	busy map[net.Conn]bool
	none chan struct{} // closed when there are none; nil: nobody waits
}

// State notes what has become of a connection.
func (q *Quiet) State(c net.Conn, state http.ConnState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		if q.busy == nil {
			q.busy = map[net.Conn]bool{}
		}
		q.busy[c] = true
		return
	}
	delete(q.busy, c)
	if len(q.busy) == 0 && q.none != nil {
		close(q.none)
		q.none = nil
	}
}

// Wait returns when there are none, or after a while. It is called once, when no more are
// accepted.
func (q *Quiet) Wait(within time.Duration) {
	q.mu.Lock()
	if len(q.busy) == 0 {
		q.mu.Unlock()
		return
	}
	none := make(chan struct{})
	q.none = none
	q.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-none:
	case <-late.C:
	}
}

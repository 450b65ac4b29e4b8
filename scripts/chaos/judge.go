package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// request is what is known about one request.
type request struct {
	id     int
	client int
	kind   clientKind
	method string
	path   string
	local  netip.AddrPort // the client's end of the connection
	nth    int            // on this connection, from 1
	pid    int            // of the worker that answered; else of the one that answered before on this connection; 0: unknown
	idle   time.Duration  // of the connection, before
	begun  time.Time      // before looking whether the connection was still open
	answer rawhttp.Answer
}

func (r *request) String() string {
	s := fmt.Sprintf("#%d of client %d (%s): %s %s, port %d, request %d on it, ", r.id, r.client, r.kind, r.method, r.path, r.local.Port(), r.nth)
	if r.pid != 0 {
		s += fmt.Sprintf("worker %d, ", r.pid)
	}
	s += r.answer.Outcome.String()
	if r.answer.Err != nil {
		s += " (" + r.answer.Err.Error() + ")"
	}
	return s
}

// kill is one kill -9: the time from before the signal until nothing of the process
// was left, and the connections that it had.
type kill struct {
	pid         int
	from, until time.Time
	held        map[netip.AddrPort]bool
}

func (k *kill) excuses(r *request) bool {
	return k.held[r.local] && !r.begun.After(k.until) && !r.answer.Done.Before(k.from)
}

// judge collects failures and kills, and decides in the end which of the failures are
// losses.
type judge struct {
	journal *journal

	mu       sync.Mutex
	failures []failure
	kills    []*kill
}

type failure struct {
	request
	history []request // of the same client, before it, oldest first
}

func (j *judge) failed(f failure) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failures = append(j.failures, f)
	j.journal.add("✗ " + f.String())
}

func (j *judge) killed(k *kill) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kills = append(j.kills, k)
}

// verdict sorts the failures: requests lost that Tine promises to keep, requests in
// flight in a killed worker, and late ones.
func (j *judge) verdict() (lost, late []failure, inFlight int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range j.failures {
		broken := false
		switch f.answer.Outcome {
		case rawhttp.Reset, rawhttp.EOF, rawhttp.Cut:
			broken = true
		}
		switch {
		case broken && slices.ContainsFunc(j.kills, func(k *kill) bool { return k.excuses(&f.request) }):
			inFlight++
		case broken && f.nth > 1 && f.idle >= drainDelay && f.answer.FirstByte.IsZero():
			late = append(late, f)
		default:
			lost = append(lost, f)
		}
	}
	return lost, late, inFlight
}

// held returns how many connections the killed workers had.
func (j *judge) held() (n int) {
	for _, k := range j.kills {
		n += len(k.held)
	}
	return n
}

// explain returns all that is known about a lost request.
func (j *judge) explain(f failure) string {
	var b strings.Builder
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return strings.TrimSpace(j.journal.stamp(t))
	}
	fmt.Fprintf(&b, "LOST %s\n", f.String())
	fmt.Fprintf(&b, "  begun %s, sent %s, first byte %s, ended %s; the connection had been idle for %v\n", stamp(f.begun), stamp(f.answer.Sent),
		stamp(f.answer.FirstByte), stamp(f.answer.Done), f.idle.Round(time.Microsecond))
	for _, h := range f.history {
		fmt.Fprintf(&b, "  before: %s, begun %s, ended %s\n", h.String(), stamp(h.begun), stamp(h.answer.Done))
	}
	for _, k := range j.kills {
		if d := f.answer.Done.Sub(k.from); k.held[f.local] || d > -time.Second && d < 5*time.Second {
			fmt.Fprintf(&b, "  kill -9 of %d from %s until %s, with this connection: %v\n", k.pid, stamp(k.from), stamp(k.until), k.held[f.local])
		}
	}
	for _, l := range j.journal.around(f.begun.Add(-2*time.Second), f.answer.Done.Add(500*time.Millisecond)) {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}

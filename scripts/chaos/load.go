package main

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// clientKind is what a client does with its connections and its time.
type clientKind uint8

const (
	newClosed clientKind = iota // a connection per request, the next one after the answer
	keptClosed
	newOpen // at given times, also while the one before has no answer
	keptOpen
	kinds
)

func (k clientKind) String() string {
	return [...]string{"new connections, closed loop", "kept alive, closed loop", "new connections, open loop", "kept alive, open loop"}[k]
}

func (k clientKind) kept() bool { return k == keptClosed || k == keptOpen }
func (k clientKind) open() bool { return k == newOpen || k == keptOpen }

// load is the clients. They run from startLoad or resume until stop or lastRequest.
type load struct {
	long    bool
	address string
	judge   *judge
	id      atomic.Int64
	wg      sync.WaitGroup
	clients []*client
}

func startLoad(o options, address string, j *judge) *load {
	l := &load{long: o.long, address: address, judge: j}
	for i := range clients {
		c := &client{load: l, number: i, kind: clientKind(i) % kinds, rand: rand.New(rand.NewPCG(o.seed, uint64(i+100)))}
		c.source = sourceAddress(i)
		l.clients = append(l.clients, c)
	}
	l.resume()
	return l
}

func (l *load) resume() {
	for _, c := range l.clients {
		c.ending = false
		l.wg.Go(c.run)
	}
}

// lastRequest keeps the clients from beginning another request; requests that have begun run on.
func (l *load) lastRequest() {
	for _, c := range l.clients {
		c.mu.Lock() // each request begins before this returns, or never
		c.ending = true
		c.mu.Unlock()
	}
}

func (l *load) wait() { l.wg.Wait() }

func (l *load) stop() { l.lastRequest(); l.wait() }

// client is one goroutine that sends one request after the other.
type client struct {
	load   *load
	number int
	kind   clientKind
	source netip.Addr
	rand   *rand.Rand

	conn    *rawhttp.Conn
	nth     int
	pid     int
	lastUse time.Time
	mu      sync.Mutex // guards ending, and is held where a request begins
	ending  bool
	next    time.Time // of an open loop
	recent  []request

	count counts
}

// counts is what one client has seen, or all clients of a kind.
type counts struct {
	requests, connections, closedIdle int
	outcomes                          [16]int
	bytes                             int
	latencies                         []time.Duration // of the requests that the demo answers at once
}

func (c *counts) add(o *counts) {
	c.requests += o.requests
	c.connections += o.connections
	c.closedIdle += o.closedIdle
	c.bytes += o.bytes
	for i := range c.outcomes {
		c.outcomes[i] += o.outcomes[i]
	}
	c.latencies = append(c.latencies, o.latencies...)
}

// counts returns the counts of each kind of client. It is valid only after wait.
func (l *load) counts() (all [kinds]counts) {
	for _, c := range l.clients {
		all[c.kind].add(&c.count)
	}
	for i := range all {
		slices.Sort(all[i].latencies)
	}
	return all
}

func (c *client) run() {
	defer c.hangUp()
	c.next = time.Now()
	for {
		c.pause()
		c.mu.Lock()
		if c.ending {
			c.mu.Unlock()
			return
		}
		r := request{id: int(c.load.id.Add(1)), client: c.number, kind: c.kind, begun: time.Now()}
		c.mu.Unlock()
		c.one(&r)
	}
}

// pause waits until the next request is due.
func (c *client) pause() {
	var d time.Duration
	switch {
	case c.kind.open():
		c.next = c.next.Add(time.Duration(c.rand.ExpFloat64() * float64(clients/2) / openLoop * float64(time.Second)))
		d = time.Until(c.next)
	case c.rand.IntN(20) == 0:
		d = time.Duration(c.rand.Int64N(int64(drainDelay / 2))) // long enough to be idle when a drain begins
	default:
		d = time.Duration(c.rand.Int64N(int64(4 * time.Millisecond)))
	}
	if d <= 0 {
		return
	}
	time.Sleep(min(d, drainDelay/2))
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// one sends one request and records its outcome.
func (c *client) one(r *request) {
	w := pick(c.rand, c.load.long)
	w.Close = !c.kind.kept()
	r.method, r.path = w.Method, w.Path
	deadline := r.begun.Add(answerLimit)
	if c.conn != nil && c.conn.Closed() {
		c.count.closedIdle++
		c.hangUp()
	}
	if c.conn == nil {
		conn, outcome, err := rawhttp.Dial(c.source, c.load.address, deadline)
		if err != nil {
			r.answer = rawhttp.Answer{Outcome: outcome, Err: err, Done: time.Now()}
			c.finish(r)
			return
		}
		c.conn, c.nth, c.pid, c.lastUse = conn, 0, 0, time.Now()
		c.count.connections++
	}
	c.nth++
	r.local, r.nth, r.pid, r.idle = c.conn.Local(), c.nth, c.pid, time.Since(c.lastUse)
	r.answer = c.conn.Do(w.Request, deadline)
	c.lastUse = r.answer.Done
	if r.answer.Outcome == rawhttp.OK {
		pid, err := w.check(r.answer.Body)
		if err != nil {
			r.answer.Outcome, r.answer.Err = rawhttp.BadBody, err
		}
		if pid != 0 {
			r.pid, c.pid = pid, pid
		}
		c.count.bytes += len(w.Body) + len(r.answer.Body)
		if w.quick {
			c.count.latencies = append(c.count.latencies, r.answer.Done.Sub(r.begun))
		}
	}
	if r.answer.Close || r.answer.Outcome != rawhttp.OK || c.rand.IntN(300) == 0 {
		c.hangUp()
	}
	c.finish(r)
}

// finish counts a request and hands a failed one to the judge.
func (c *client) finish(r *request) {
	c.count.requests++
	c.count.outcomes[r.answer.Outcome]++
	r.answer.Body = nil
	if r.answer.Outcome != rawhttp.OK {
		c.load.judge.failed(failure{*r, slices.Clone(c.recent)})
	}
	const remembered = 3
	if len(c.recent) == remembered {
		c.recent = append(c.recent[:0], c.recent[1:]...)
	}
	c.recent = append(c.recent, *r)
}

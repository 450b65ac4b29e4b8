package worker

import (
	"log/slog"
	"sync"
)

// maxCallbacks is how many messages may wait for the program's callbacks, and beside them how many calls.
const maxCallbacks = 1024

// dispatcher runs the program's callbacks one after the other, in the order in which their causes arrived, away from
// the goroutine that reads the channel: a callback that takes its time delays other callbacks and nothing else.
//
// What waits is bounded. Of a watched value the newest change waits, one per watch. Messages beyond maxCallbacks are
// dropped and the first drop of a jam is logged; calls beyond it are answered with an error at once.
type dispatcher struct {
	log  *slog.Logger
	quit chan struct{}
	wake chan struct{}

	mu      sync.Mutex
	queue   []job
	waiting [jobKinds]int // in the queue
	dropped int           // in this jam
	closed  bool
}

type job struct {
	run, drop func() // exactly one of them is called
	kind      jobKind
}

// jobKind is what a job was made for. Each kind but ofValue, which is bounded otherwise, has a room of its own, so
// that messages do not take that of calls.
type jobKind int

const (
	ofValue jobKind = iota
	ofMessage
	ofCall
	jobKinds
)

func newDispatcher(log *slog.Logger) *dispatcher {
	return &dispatcher{log: log, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// post queues j, or says that there is no room; then the caller drops it.
func (d *dispatcher) post(j job) bool {
	d.mu.Lock()
	if d.closed || (j.kind != ofValue && d.waiting[j.kind] >= maxCallbacks) {
		d.mu.Unlock()
		return false
	}
	d.waiting[j.kind]++
	d.queue = append(d.queue, j)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return true
}

// lose counts a dropped message.
func (d *dispatcher) lose(topic string) {
	d.mu.Lock()
	d.dropped++
	first := d.dropped == 1
	d.mu.Unlock()
	if first {
		d.log.Warn("message dropped: callbacks do not keep up", "topic", topic, "waiting", maxCallbacks)
	}
}

func (d *dispatcher) run() {
	for {
		select {
		case <-d.quit:
			return
		case <-d.wake:
		}
		for j, ok := d.pop(); ok; j, ok = d.pop() {
			j.run()
		}
	}
}

func (d *dispatcher) pop() (job, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.queue = nil // gives the memory of a burst back
		if d.dropped > 0 {
			d.log.Warn("callbacks keep up again", "dropped", d.dropped)
			d.dropped = 0
		}
		return job{}, false
	}
	j := d.queue[0]
	d.queue[0] = job{}
	d.queue = d.queue[1:]
	d.waiting[j.kind]--
	return j, true
}

// close ends run after the callback that is running.
func (d *dispatcher) close() {
	d.mu.Lock()
	queue := d.queue
	first := !d.closed
	d.queue, d.closed = nil, true
	d.mu.Unlock()
	if first {
		close(d.quit)
	}
	for _, j := range queue {
		j.drop()
	}
}

package above

import (
	"sync"
	"time"
)

const (
	// statusPace is the least time between two notifications that say nothing but how things are.
	statusPace = 250 * time.Millisecond
	// maxNotices is how many notifications wait for a receiver that does not read.
	maxNotices = 32
	// notifyTimeout bounds the wait for the last of them, as long as one that is under way may take.
	notifyTimeout = 5 * time.Second
)

// notifier sends notifications from a goroutine of its own, in their order, so that a receiver that reads slowly delays nothing
// here. At most one status text and one sign of life are queued: a newer one replaces the older. Of the other messages the
// oldest is dropped when maxNotices wait. All methods of a nil notifier do nothing.
type notifier struct {
	out  func(state ...string) error
	said func(error) // the first failure in a row

	mu     sync.Mutex
	queue  [][]string // of changes
	status string     // not sent yet
	alive  bool       // and not told yet
	closed bool
	failed bool

	wake  chan struct{}
	ended chan struct{}
}

func newNotifier(out func(state ...string) error, said func(error)) *notifier {
	n := &notifier{out: out, said: said, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go n.run()
	return n
}

// send queues the lines of a change, such as READY=1.
func (n *notifier) send(lines ...string) {
	n.post(func() {
		if len(n.queue) >= maxNotices {
			n.queue = n.queue[1:]
		}
		n.queue = append(n.queue, lines)
	})
}

// setStatus queues a status text.
func (n *notifier) setStatus(status string) { n.post(func() { n.status = status }) }

// ping queues a sign of life.
func (n *notifier) ping() { n.post(func() { n.alive = true }) }

// close sends what waits and ends the goroutine. A receiver that does not read is given up after a while.
func (n *notifier) close() {
	if n == nil {
		return
	}
	n.post(func() { n.closed = true })
	select {
	case <-n.ended:
	case <-time.After(notifyTimeout + time.Second):
	}
}

func (n *notifier) post(change func()) {
	if n == nil {
		return
	}
	n.mu.Lock()
	change()
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it looks again
	}
}

func (n *notifier) run() {
	defer close(n.ended)
	var sentAt time.Time // a status
	for {
		wait := statusPace - time.Since(sentAt)
		lines, withStatus, more, end := n.next(wait <= 0)
		switch {
		case lines != nil:
			if withStatus {
				sentAt = time.Now()
			}
			n.deliver(lines)
		case end:
			return
		case more:
			select {
			case <-n.wake:
			case <-time.After(wait):
			}
		default:
			<-n.wake
		}
	}
}

// next takes what is to be sent next. A status goes along with what is sent anyway; alone only if it may. more: one waits
// for that.
func (n *notifier) next(may bool) (lines []string, withStatus, more, end bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) > 0 {
		lines, n.queue = n.queue[0], n.queue[1:]
	}
	if n.alive && !n.closed {
		lines = append(lines, "WATCHDOG=1")
	}
	n.alive = false
	if n.status != "" && (len(lines) > 0 || may || n.closed) {
		lines, n.status, withStatus = append(lines, "STATUS="+n.status), "", true
	}
	return lines, withStatus, n.status != "", n.closed
}

func (n *notifier) deliver(lines []string) {
	err := n.out(lines...)
	if err != nil && !n.failed {
		n.said(err)
	}
	n.failed = err != nil
}

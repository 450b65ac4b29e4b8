package policy

import (
	"fmt"
	"strings"
	"time"
)

// Queue says how requests wait that no member has room for, or none is ready for: see package worker/gate/queue. The zero value of each
// field is its default.
type Queue struct {
	Max      int   `json:"max,omitempty"`       // requests of one type of members, in one worker; NoQueue: none, they fail at once
	MaxBytes int64 `json:"max_bytes,omitempty"` // that they hold

	Timeout  time.Duration `json:"timeout,omitempty"`
	Target   time.Duration `json:"target,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`

	FIFO           bool   `json:"fifo,omitempty"`            // the first that came is the next during overload too
	PriorityHeader string `json:"priority_header,omitempty"` // in which peers of Policy.Trust say 0 to 9; "": nobody says
}

// NoQueue is Queue.Max where no request waits.
const NoQueue = -1

// DefaultQueue is the queue of a policy that says nothing of it. CoDel drops packets after 5 ms; a person would rather wait for half a second
// than be turned away, and a program that works on one request at a time has such queues as a rule.
var DefaultQueue = Queue{
	Max: 1000, MaxBytes: 64 << 20, Timeout: 10 * time.Second, Target: 500 * time.Millisecond, Interval: 2 * time.Second,
}

// Bounds is q with its defaults in place of what is 0.
func (q Queue) Bounds() Queue {
	d := DefaultQueue
	if q.Max == 0 {
		q.Max = d.Max
	}
	if q.MaxBytes == 0 {
		q.MaxBytes = d.MaxBytes
	}
	if q.Timeout == 0 {
		q.Timeout = d.Timeout
	}
	if q.Target == 0 {
		q.Target = min(d.Target, q.Timeout)
	}
	if q.Interval == 0 {
		q.Interval = min(max(d.Interval, q.Target), q.Timeout)
	}
	return q
}

// Faults says what is wrong with q.
func (q Queue) Faults() (all []Fault) {
	fail := func(field, format string, args ...any) { all = append(all, Fault{field, fmt.Sprintf(format, args...)}) }
	if q.Max < NoQueue {
		fail("queue.max", "%d is negative: write how many requests may wait", q.Max)
	}
	if q.MaxBytes < 0 {
		fail("queue.max_bytes", "%d is negative: write how many bytes they may hold", q.MaxBytes)
	}
	for _, one := range []struct {
		field string
		d     time.Duration
	}{{"queue.timeout", q.Timeout}, {"queue.target", q.Target}, {"queue.interval", q.Interval}} {
		if one.d < 0 {
			fail(one.field, "%s is negative", one.d)
		}
	}
	if b := q.Bounds(); len(all) == 0 && b.Target > b.Interval {
		fail("queue.target", "%s is longer than interval, which is %s", b.Target, b.Interval)
	} else if len(all) == 0 && b.Interval > b.Timeout {
		fail("queue.interval", "%s is longer than timeout, which is %s", b.Interval, b.Timeout)
	}
	if strings.ContainsFunc(q.PriorityHeader, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) {
		fail("queue.priority_header", "%q is not the name of a header: write one such as X-Priority", q.PriorityHeader)
	}
	return all
}

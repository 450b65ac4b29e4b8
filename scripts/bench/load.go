//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// load is what a number of clients ask for.
type load struct {
	clients int
	keep    bool // else a connection a request
	post    bool
	rate    int // requests a second of all clients together; 0: each asks again as soon as it has the answer
}

func (l load) String() string {
	s := "connection a request"
	if l.keep {
		s = "kept alive"
	}
	if l.rate > 0 {
		s += fmt.Sprintf(", %d/s", l.rate)
	} else {
		s += ", closed loop"
	}
	if l.post {
		return s + ", POST"
	}
	return s + ", GET"
}

// tally is what came of it.
type tally struct {
	requests int // asked
	failed   int // without a complete and right answer
	resets   int // of them by a reset
	refused  int // of them because no process listened
	examples []string
	times    []time.Duration
	took     time.Duration
}

func (t *tally) add(o *tally) {
	t.requests += o.requests
	t.failed += o.failed
	t.resets += o.resets
	t.refused += o.refused
	t.times = append(t.times, o.times...)
	t.examples = append(t.examples, o.examples...)
	t.examples = t.examples[:min(len(t.examples), 3)]
}

func (t *tally) note(f *failure) {
	t.failed++
	switch f.outcome {
	case rawhttp.Reset:
		t.resets++
	case rawhttp.Refused:
		t.refused++
	}
	if len(t.examples) < 3 {
		t.examples = append(t.examples, f.Error())
	}
}

// running is a load under way.
type running struct {
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	began   time.Time
	tallies []tally
}

// begin starts l against addr. It runs until stopped, and at most for limit.
func (l load) begin(addr string, limit time.Duration) *running {
	r := &running{stop: make(chan struct{}), began: time.Now(), tallies: make([]tally, l.clients)}
	for i := range r.tallies {
		r.wg.Go(func() { l.client(addr, i, r) })
	}
	end := time.AfterFunc(limit, r.halt)
	go func() {
		r.wg.Wait()
		end.Stop()
	}()
	return r
}

func (r *running) halt() { r.once.Do(func() { close(r.stop) }) }

// end stops the load, lets the requests under way finish, and sums up.
func (r *running) end() tally {
	r.halt()
	r.wg.Wait()
	sum := tally{took: time.Since(r.began)}
	for i := range r.tallies {
		sum.add(&r.tallies[i])
	}
	return sum
}

func (l load) client(addr string, i int, r *running) {
	c := newClient(addr, l.keep, l.post)
	defer c.close()
	t := &r.tallies[i]
	due := r.began
	var every time.Duration
	if l.rate > 0 {
		every = time.Second * time.Duration(l.clients) / time.Duration(l.rate)
		due = due.Add(every * time.Duration(i) / time.Duration(l.clients))
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if l.rate > 0 {
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-r.stop:
				return
			}
		} else {
			select {
			case <-r.stop:
				return
			default:
			}
			due = time.Now()
		}
		t.requests++
		if _, f := c.do(); f != nil {
			t.note(f)
		} else {
			t.times = append(t.times, time.Since(due)) // from when it was due: waiting for the client counts too
		}
		due = due.Add(every)
	}
}

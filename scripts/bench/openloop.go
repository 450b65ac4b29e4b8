//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// openLoop is load whose arrivals are fixed before it begins: a slow answer delays none of the requests that follow, and
// each is counted from when it was to arrive, so that what a stuck server holds up is seen in full. Every request has a
// connection of its own. Arrivals are those of a Poisson process; the same seed gives the same ones.
type openLoop struct {
	rate int // requests a second
	span time.Duration
	seed uint64
}

// maxInFlight bounds the requests under way: above it, the load itself is what is measured.
const maxInFlight = 8192

// shot is one request. Times are from the beginning of the load.
type shot struct {
	due       time.Duration
	began     time.Duration // when its connection was asked for: what it is late beyond due is the load's own fault
	connected time.Duration
	done      time.Duration
	pid       int // who answered; 0: it failed
	f         *failure
}

// volley is what came of an open loop.
type volley struct {
	began time.Time
	shots []shot
}

// run makes the load against addr and returns when the last answer has come.
func (o openLoop) run(ctx context.Context, addr string) (*volley, error) {
	arrivals := rand.New(rand.NewPCG(o.seed, 0))
	v := &volley{}
	for due := time.Duration(0); ; {
		due += time.Duration(arrivals.ExpFloat64() * float64(time.Second) / float64(o.rate))
		if due >= o.span {
			break
		}
		v.shots = append(v.shots, shot{due: due})
	}
	clients := sync.Pool{New: func() any { return newClient(addr, false, false) }}
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxInFlight)
	// Timers of the runtime are up to a millisecond late, the kernel's are not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	v.began = time.Now()
	for i := range v.shots {
		s := &v.shots[i]
		for {
			left := s.due - time.Since(v.began)
			if left <= 0 {
				break
			}
			pause := unix.NsecToTimespec(int64(left))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil) // interrupted: it looks at the clock again
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		select {
		case room <- struct{}{}:
		default:
			return nil, fmt.Errorf("%d requests wait for %s: the load cannot go on", maxInFlight, addr)
		}
		wg.Go(func() {
			c := clients.Get().(*client)
			v.fire(s, c)
			clients.Put(c)
			<-room
		})
	}
	wg.Wait()
	return v, nil
}

func (v *volley) fire(s *shot, c *client) {
	defer c.close()
	s.began = time.Since(v.began)
	if s.f = c.dial(); s.f != nil {
		return
	}
	s.connected = time.Since(v.began)
	body, f := c.exchange()
	s.done = time.Since(v.began)
	if s.f = f; f == nil {
		s.pid = pidIn(body)
	}
}

// failed counts the requests without a complete and right answer, and says what happened to the first few.
func (v *volley) failed() (n int, examples []string) {
	for i := range v.shots {
		if f := v.shots[i].f; f != nil {
			if n++; len(examples) < 3 {
				examples = append(examples, f.Error())
			}
		}
	}
	return n, examples
}

// times are those of the requests that were answered, from when they were to arrive.
func (v *volley) times() []time.Duration {
	times := make([]time.Duration, 0, len(v.shots))
	for i := range v.shots {
		if s := &v.shots[i]; s.f == nil {
			times = append(times, s.done-s.due)
		}
	}
	return times
}

// late is by how much each request began after it was to arrive.
func (v *volley) late() []time.Duration {
	late := make([]time.Duration, len(v.shots))
	for i := range v.shots {
		late[i] = v.shots[i].began - v.shots[i].due
	}
	return late
}

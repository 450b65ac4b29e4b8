//go:build linux

package main

import (
	"fmt"
	"syscall"
	"time"
)

const (
	stopRate  = 1000 // connections a second
	stopAfter = 50 * time.Millisecond
	backAfter = 100 * time.Millisecond
)

// stopped stops a worker and lets it go on, again and again under a steady load, and looks at the connections that it
// got: until how long after SIGSTOP, and from when after SIGCONT. Who answered in the end is whom the kernel had picked
// when the connection was asked for.
func (b *bench) stopped() error {
	peers, stop, err := b.waiters("least", 4, steerHandler)
	if err != nil {
		return err
	}
	defer stop()
	for _, kind := range kinds {
		if peers[kind] == nil || kind == "hash" {
			continue
		}
		last, back, err := b.stopCycles(peers[kind], b.times(12, 4))
		if err != nil {
			return err
		}
		worst, slowest := quantile(last, 1), quantile(back, 1)
		b.table.add(fmt.Sprintf("%s: last new connection after SIGSTOP, worst of %d", kind, len(last)), "< 50 ms",
			fmt.Sprintf("%s (median %s)", ms(worst), ms(median(last))), verdictOf(worst < stopAfter))
		b.table.add(fmt.Sprintf("%s: first new connection after SIGCONT, worst of %d", kind, len(back)), "< 100 ms",
			fmt.Sprintf("%s (median %s)", ms(slowest), ms(median(back))), verdictOf(slowest < backAfter))
	}
	return nil
}

// stopCycles stops one worker n times for 300 ms. last is when, after SIGSTOP, the last connection was asked for that went
// to it; back when, after SIGCONT, the first was.
func (b *bench) stopCycles(s *peer, n int) (last, back []time.Duration, err error) {
	pid, err := s.worker()
	if err != nil {
		return nil, nil, err
	}
	const lead, held, free = 200 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond
	type cycle struct{ stop, cont time.Time }
	cycles := make([]cycle, n)
	ended := make(chan error, 1)
	go func() {
		defer syscall.Kill(pid, syscall.SIGCONT) //nolint:errcheck // if it is gone it is not stopped
		err := b.sleep(lead)
		for i := range cycles {
			if err != nil {
				break
			}
			c := &cycles[i]
			c.stop = time.Now()
			if err = syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				break
			}
			err = b.sleep(held)
			c.cont = time.Now()
			if kerr := syscall.Kill(pid, syscall.SIGCONT); err == nil {
				err = kerr
			}
			if err == nil {
				err = b.sleep(free)
			}
		}
		ended <- err
	}()
	v, err := openLoop{stopRate, lead + time.Duration(n)*(held+free), 1}.run(b.ctx, s.addr)
	if serr := <-ended; err == nil {
		err = serr
	}
	if err != nil {
		return nil, nil, err
	}
	b.keep(s.name, v)
	for i, c := range cycles {
		stop, cont, next := c.stop.Sub(v.began), c.cont.Sub(v.began), v.shots[len(v.shots)-1].began
		if i+1 < n {
			next = cycles[i+1].stop.Sub(v.began)
		}
		l, f := time.Duration(0), next-cont // none at all: as late as could be seen
		for j := range v.shots {
			x := &v.shots[j]
			switch {
			case x.pid != pid:
			case x.began >= stop && x.connected < cont:
				l = max(l, x.began-stop)
			case x.began >= cont && x.began < next:
				f = min(f, x.began-cont)
			}
		}
		last, back = append(last, l), append(back, f)
	}
	return last, back, nil
}

//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// kinds are the ways to steer, each beside hash, which is the kernel's own.
var kinds = []string{"ebpf", "cbpf", "hash"}

// waiter runs the service whose answers take handler, under Tine with one kind of steering and one policy.
func (b *bench) waiter(kind, policy string, workers int, handler time.Duration) command {
	return b.under(kind+", "+policy, filepath.Join(b.dir, "waiter"), workers,
		"steering: "+kind, "policy: "+policy, fmt.Sprintf("env: {WAITER_HANDLER: %s}", handler))
}

// preforkWaiting is the prefork by hand with the same handler.
func (b *bench) preforkWaiting(workers int, r runtimeOf, handler time.Duration) command {
	c := b.prefork(workers, r)
	by := c.make
	c.make = func(addr string) (*exec.Cmd, error) {
		cmd, err := by(addr)
		if err == nil {
			cmd.Env = append(os.Environ(), "PREFORK_HANDLER="+handler.String())
		}
		return cmd, err
	}
	return c
}

// waiters starts one of each kind. Those that this machine cannot steer by are left out, loudly.
func (b *bench) waiters(policy string, workers int, handler time.Duration) (peers map[string]*peer, stop func(), err error) {
	peers = map[string]*peer{}
	stop = func() {
		for _, s := range peers {
			s.p.stop()
		}
	}
	for _, kind := range kinds {
		s, err := b.steered(kind, b.waiter(kind, policy, workers, handler), workers)
		if err != nil {
			stop()
			return nil, nil, err
		}
		if s != nil {
			peers[kind] = s
		}
	}
	return peers, stop, nil
}

// steered serves c, which is to steer by kind; nil where this machine cannot.
func (b *bench) steered(kind string, c command, workers int) (*peer, error) {
	s, err := b.serve(c, workers)
	if err != nil {
		return nil, err
	}
	if is := s.steering(); is != "" && is != kind {
		s.p.stop()
		b.table.add("steering by "+kind, "", "SKIPPED: this machine steers by "+is+" instead", info)
		return nil, nil
	}
	return s, nil
}

// steering is the kind that the master says it uses; "" if it says nothing.
func (s *peer) steering() string {
	is := ""
	for _, e := range s.log.since(0) {
		if e.Steering != "" {
			is = e.Steering
		}
	}
	return is
}

// turns returns a, and its reverse in every second round, so that no peer is always the first.
func turns(a []string, round int) []string {
	if round%2 == 0 {
		return a
	}
	r := make([]string, 0, len(a))
	for i := range a {
		r = append(r, a[len(a)-1-i])
	}
	return r
}

// sticking is a way to make a worker stuck, and to end it.
type sticking struct {
	name        string
	stick, free syscall.Signal
}

var (
	stopping = sticking{"stopped", syscall.SIGSTOP, syscall.SIGCONT}
	blocking = sticking{"handler", syscall.SIGUSR1, syscall.SIGUSR2}
)

// half makes the worker pid stuck for the first half of every second until ctx ends. It leaves it free.
func (w sticking) half(ctx context.Context, pid int) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	defer syscall.Kill(pid, w.free) //nolint:errcheck // if it is gone it is not stuck
	for stuck := false; ; {
		next := w.stick
		if stuck {
			next = w.free
		}
		stuck = !stuck
		if err := syscall.Kill(pid, next); err != nil {
			return fmt.Errorf("cannot send %v to worker %d: %w", next, pid, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// worker is the PID of one of s's workers.
func (s *peer) worker() (int, error) {
	pids := s.workers()
	if len(pids) == 0 {
		return 0, fmt.Errorf("%s has no workers:\n%s", s.name, s.p.said())
	}
	return pids[0], nil
}

// keep counts what o lost as lost: the load of these sections is one that no worker dies under.
func (b *bench) keep(name string, v *volley) {
	n, examples := v.failed()
	b.lost += n
	for _, e := range examples {
		fmt.Fprintf(os.Stderr, "bench: %s: failed: %s\n", name, e)
	}
}

// over is the share of v above limit.
func over(v []time.Duration, limit time.Duration) float64 {
	n := 0
	for _, d := range v {
		if d > limit {
			n++
		}
	}
	return float64(n) / float64(max(len(v), 1))
}

// spreadOf is the standard deviation of counts over their mean.
func spreadOf(counts []int) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += float64(n)
	}
	mean, squares := sum/float64(len(counts)), 0.0
	for _, n := range counts {
		squares += (float64(n) - mean) * (float64(n) - mean)
	}
	return math.Sqrt(squares/float64(len(counts))) / mean
}

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// change replaces the master, and returns the PID of the old one as Tine knows it, and when it began.
type change func(k *kept) (old int, began time.Time, err error)

// keptLoads are as issue 5 has them; closed loops leave nothing of the processors, the others most.
var keptLoads = []load{
	{clients: rollClients, rate: 1000},
	{clients: rollClients, keep: true, rate: 1000},
	{clients: rollClients},
	{clients: rollClients, keep: true},
}

// crashed is kill -9.
func crashed(k *kept) (old int, began time.Time, err error) {
	st, err := k.inCharge(0)
	if err != nil {
		return 0, began, err
	}
	pid, err := k.masterHere()
	if err != nil {
		return 0, began, err
	}
	began = time.Now()
	return st.PID, began, syscall.Kill(pid, syscall.SIGKILL)
}

// upgraded is the order that tine upgrade gives, to the binary that runs.
func upgraded(k *kept) (old int, began time.Time, err error) {
	st, err := k.inCharge(0)
	if err != nil {
		return 0, began, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began = time.Now()
	return st.PID, began, k.control.Do(ctx, api.Order{Verb: api.VerbUpgrade, Reason: "bench"}, nil)
}

// survive does it n times under each load and adds the rows of all that must not be lost. limit is of the median, at the
// loads that leave some of the processors.
func (b *bench) survive(k *kept, what string, n int, do change, limit time.Duration) error {
	once := func() (time.Duration, error) {
		old, began, err := do(k)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		_, err = k.inCharge(old)
		return time.Since(began), err
	}
	if _, err := once(); err != nil { // a master that has adopted has some descriptors more than the first one
		return err
	}
	if err := b.sleep(2 * time.Second); err != nil {
		return err
	}
	before, err := k.usage()
	if err != nil {
		return err
	}
	var open, closed []time.Duration
	for _, l := range keptLoads {
		r := l.begin(k.addr, 5*time.Minute)
		var took []time.Duration
		err := b.sleep(300 * time.Millisecond)
		for i := 0; i < n && err == nil; i++ {
			var d time.Duration
			if d, err = once(); err == nil {
				took = append(took, d)
				err = b.sleep(600 * time.Millisecond) // a keeper forgets what was up for 500 ms
			}
		}
		t := r.end()
		if err != nil {
			return err
		}
		for _, e := range t.examples {
			fmt.Fprintf(os.Stderr, "bench: %s, %s: failed: %s\n", what, l, e)
		}
		b.lost += t.failed
		b.table.add(fmt.Sprintf("%d %s: %s", n, what, l), "0 failed", fmt.Sprintf("%d failed of %d; p99 %s; next after %s", t.failed, t.requests,
			ms(quantile(t.times, 0.99)), ms(median(took))), verdictOf(t.failed == 0))
		if l.rate > 0 {
			open = append(open, took...)
		} else {
			closed = append(closed, took...)
		}
	}
	of := median(open)
	b.table.add(what+": until the next one answers on the control socket with all workers ready", "< "+ms(limit),
		fmt.Sprintf("%s median, %s most; %s at saturation", ms(of), ms(quantile(open, 1)), ms(median(closed))), verdictOf(of < limit))
	if err := b.sleep(2 * time.Second); err != nil {
		return err
	}
	after, err := k.usage()
	if err != nil {
		return err
	}
	restarted, err := k.restarted()
	if err != nil {
		return err
	}
	b.lost += restarted
	b.table.add(what+": workers restarted", "0", fmt.Sprintf("%d of %d", restarted, keptWorkers), verdictOf(restarted == 0))
	zombies := k.zombies()
	b.table.add(what+": zombies", "0", fmt.Sprint(zombies), verdictOf(zombies == 0))
	leaked := after.keeper > before.keeper || after.master > before.master || len(after.workers) != len(before.workers)
	for i := range min(len(before.workers), len(after.workers)) {
		leaked = leaked || after.workers[i] > before.workers[i]
	}
	b.table.add(what+": descriptors", "no more", fmt.Sprintf("keeper %d to %d, master %d to %d, workers %s to %s", before.keeper, after.keeper,
		before.master, after.master, short(before.workers), short(after.workers)), verdictOf(!leaked))
	return nil
}

func short(n []int) string { return strings.Trim(fmt.Sprint(n), "[]") }

// countLines is for after the end, when all that was printed is in the log. Lines may come twice after a crash.
func (b *bench) countLines(k *kept, what string, twice bool) error {
	c, err := k.lines.Count(k.counts)
	if err != nil {
		return err
	}
	for _, err := range c.Lost {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", what, err)
	}
	b.lost += c.Missing
	ok := c.Missing == 0 && c.Processes == keptWorkers && (twice || c.Twice == 0)
	b.table.add(what+": lines lost of what the workers print", "0", fmt.Sprintf("%d of %d; %d came twice", c.Missing, c.Written, c.Twice), verdictOf(ok))
	return nil
}

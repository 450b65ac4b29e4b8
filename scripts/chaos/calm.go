package main

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// calm is a phase in which nothing happens to the workers: they must be the same afterwards, each with as many descriptors
// as before.
type calm struct {
	name  string
	times []time.Duration // until the next master was in charge
	tries int
}

func (c *calm) String() string {
	if len(c.times) == 0 {
		return fmt.Sprintf("%d %s", c.tries, c.name)
	}
	slices.Sort(c.times)
	return fmt.Sprintf("%d %s, the next master with all workers after %v (median; most %v)", c.tries, c.name,
		c.times[len(c.times)/2].Round(100*time.Microsecond), c.times[len(c.times)-1].Round(100*time.Microsecond))
}

// calmly runs do under load and returns what is different afterwards.
func (r *report) calmly(m *master, load *load, do func() error) error {
	before, err := m.atRest()
	if err != nil {
		return err
	}
	pids := m.workers()
	load.resume()
	err = do()
	load.stop()
	if err != nil {
		return err
	}
	if err := m.settle(settleLimit); err != nil {
		return err
	}
	if now := m.workers(); !slices.Equal(now, pids) {
		return fmt.Errorf("workers %v are there now, and were %v: one was restarted though none had ended", now, pids)
	}
	after, err := m.atRest()
	if err != nil {
		return err
	}
	r.after = after
	for i, n := range after.workers {
		if n > before.workers[i] {
			return fmt.Errorf("the workers have %v open files, %v before: the first has %s", after.workers, before.workers, openFilesBy(pids[0]))
		}
	}
	return r.compare()
}

// storm kills the master every second: by then another is in charge.
func (k *monkey) storm(d time.Duration, c *calm, interrupted <-chan os.Signal) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		old := k.killNow()
		began := time.Now()
		if old == 0 {
			return fmt.Errorf("there is no master to kill")
		}
		c.tries++
		if _, err := k.master.inCharge(old, backIn); err != nil {
			return fmt.Errorf("%v after the kill of master %d: %w", backIn, old, err)
		}
		c.times = append(c.times, time.Since(began))
		select {
		case <-tick.C:
		case <-interrupted:
			return nil
		}
	}
	return nil
}

// upgradeOften upgrades n times, with one to each bad binary in between.
func (k *monkey) upgradeOften(n int, c *calm) error {
	known := len(k.problems)
	for i := range n {
		c.tries++
		k.upgrade()
		if i%2 == 1 {
			k.upgradeBadly()
		}
		if len(k.problems) > known {
			return nil // the caller has reported them already
		}
	}
	return nil
}

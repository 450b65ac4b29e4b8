//go:build linux

package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// fileCounts are the descriptors of a keeper, its master and their workers, in this order.
func fileCounts(t *testing.T, keeper int, st api.Status) []int {
	t.Helper()
	counts := []int{filesOf(t, keeper), filesOf(t, st.PID)}
	for _, pid := range workerPIDs(st) {
		counts = append(counts, filesOf(t, pid))
	}
	return counts
}

// eventuallyFiles waits until no process has more descriptors than before, for some are open for a moment only, such as that of a
// connection that has just ended.
func (m *tine) eventuallyFiles(before []int) {
	m.t.Helper()
	eventually.True(m.t, "no process has more descriptors than before", func() bool {
		st, err := m.status()
		if err != nil {
			return false
		}
		now := fileCounts(m.t, m.pid, st)
		for i := range now {
			if i >= len(before) || now[i] > before[i] {
				return false
			}
		}
		return true
	})
}

// rounds is how often a test does what it does, where once is as good as often but for what happens seldom: all of it with
// TINE_TEST_LONG in the environment.
func rounds(short, long int) int {
	if os.Getenv("TINE_TEST_LONG") != "" {
		return long
	}
	return short
}

// TestKilledEverySecond: kill -9 of the master, every second, for half a minute if it is to be long, under load: no request fails, no worker is
// another one, no process piles up descriptors or leaves a zombie.
func TestKilledEverySecond(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st := m.mustStatus()
	workers := workerPIDs(st)
	l := m.steadily(4)
	next := time.NewTicker(time.Second)
	defer next.Stop()
	var back []time.Duration
	var files []int
	for i := range rounds(8, 30) {
		<-next.C
		old := st.PID
		began := time.Now()
		syscall.Kill(old, syscall.SIGKILL)
		eventually.True(t, "another master has all workers", func() bool {
			var err error
			st, err = m.status()
			return err == nil && st.PID != old && st.Apps[0].Ready == 2
		})
		back = append(back, time.Since(began))
		if got := workerPIDs(st); !slices.Equal(got, workers) {
			t.Fatalf("workers %v after kill %d, %v before", got, i+1, workers)
		}
		if i == 0 {
			files = fileCounts(t, m.pid, st)
		}
	}
	l.lossless(t)
	m.eventuallyFiles(files)
	if n := zombiesOf(m.pid); n > 0 {
		t.Errorf("%d zombies", n)
	}
	slices.Sort(back)
	t.Logf("the next master is in charge after %s to %s, half of the times after %s at most", back[0], back[len(back)-1], back[len(back)/2])
	m.stop()
}

// TestUpgradeFiftyTimes: no process has more descriptors after many upgrades (50, if it is to be long) than after the first.
func TestUpgradeFiftyTimes(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	var files []int
	for i := range rounds(15, 50) {
		m.tell(0, "upgrade")
		if i == 0 {
			old := m.mustStatus()
			eventually.True(t, "the first master has gone", func() bool { return len(childrenOf(m.pid)) == 1+len(workerPIDs(old)) })
			files = fileCounts(t, m.pid, old)
		}
	}
	m.eventuallyFiles(files)
	m.stop()
}

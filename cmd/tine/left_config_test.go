//go:build linux

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestKeptConfigBroken: a master that was killed is followed by one that goes on with what ran, whatever is in the config
// file by then; and once that can be read again it is applied as ever.
func TestKeptConfigBroken(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers, kept)
	before := m.mustStatus()
	write(t, m.dir, "tine.yaml", "apps: {")
	next := func() api.Status {
		t.Helper()
		old := m.mustStatus().PID
		syscall.Kill(old, syscall.SIGKILL)
		var st api.Status
		eventually.True(t, "another master has ready workers", func() (ok bool) {
			var err error
			st, err = m.status()
			return err == nil && st.PID != old && len(st.Apps) == 1 && st.Apps[0].Ready == 2
		})
		return st
	}
	for range 2 { // the second finds the config that the first has kept
		mark := m.mark()
		if st := next(); !slices.Equal(workerPIDs(st), workerPIDs(before)) {
			t.Errorf("workers are %v, were %v", workerPIDs(st), workerPIDs(before))
		}
		e := m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "configuration not applied") })
		if !strings.Contains(e.Message, "tine.yaml:1") {
			t.Errorf("%q does not name the place", e.Message)
		}
	}
	write(t, m.dir, "tine.yaml", strings.Replace(twoWorkers, "workers: 2", "workers: 3", 1))
	m.signal(syscall.SIGHUP)
	eventually.True(t, "three workers", func() bool {
		st, err := m.status()
		return err == nil && len(st.Apps) == 1 && st.Apps[0].Ready == 3
	})
	m.stop()
}

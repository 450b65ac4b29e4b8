package master

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
)

// maxFilesKey is how many files the keeper of a test stores at most.
const maxFilesKey = "TEST_KEEPER_MAX_FILES"

func unkept(a api.App) (n int) {
	for _, w := range a.Workers {
		if w.Unkept {
			n++
		}
	}
	return n
}

// What the keeper has no room for is said at once, by name; when there is room it is kept, and then no crash loses it.
func TestNoRoomForAWorker(t *testing.T) {
	t.Setenv(maxFilesKey, "15")
	m := startKept(t, keptConfig)
	st := m.await("it is said what is not kept", func(st api.Status) bool { return st.Unkept != "" && unkept(onlyApp(st)) > 0 })
	if n := unkept(onlyApp(st)); n == 3 || !strings.HasPrefix(st.Unkept, "a crash of the master would lose") || !strings.Contains(st.Unkept, "keeper has no room") {
		t.Errorf("%d workers are not kept: %s", n, st.Unkept)
	}
	if text := m.log.String(); !strings.Contains(text, `"message":"nothing is kept of this worker: a crash of the master would lose it"`) {
		t.Error("the log does not say so")
	}
	if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 1}); err != nil {
		t.Fatal(err)
	}
	st = m.await("all is kept", func(st api.Status) bool { return st.Unkept == "" && unkept(onlyApp(st)) == 0 })
	before := pids(onlyApp(st))
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	now := m.await("another master", func(now api.Status) bool { return now.PID != st.PID && allAppsReady(now) })
	if after := pids(onlyApp(now)); !slices.Equal(before, after) {
		t.Errorf("workers are %v, were %v", after, before)
	}
}

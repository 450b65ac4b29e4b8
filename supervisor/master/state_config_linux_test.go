package master

import (
	"os"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control"
)

// TestAppliedConfigOutlivesCrash: a config that changes nothing of any app is in the record too once it is applied, so that a
// crash does not undo it.
func TestAppliedConfigOutlivesCrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	if err := os.WriteFile(m.dir+"/behaviour-value", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.configure(keptConfig + "\ncache:\n  value: {file: HOW-value, every: 1h}\n")
	if err := syscall.Kill(st.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hasValue := func(st control.Status) bool { return len(st.Cache.Values) == 1 }
	m.await("the value", hasValue)
	m.crash(m.await("a loop that has come to rest since", hasValue))
	m.await("the config that was applied, and no other", func(st control.Status) bool { return hasValue(st) && st.Unapplied == "" })
}

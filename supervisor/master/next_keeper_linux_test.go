package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/keeper"
)

// succeedUnless becomes the keeper, unless there is a file that says no.
func succeedUnless(config string) func(files map[string][]*os.File) error {
	return func(files map[string][]*os.File) error {
		if _, err := os.Stat(filepath.Join(filepath.Dir(config), "no-next-keeper")); err == nil {
			return errors.New("no next keeper")
		}
		exe, _ := os.Executable()
		return keeper.Succeed(keeper.Options{Command: exe}, files)
	}
}

// end stops what the keeper that this test has started no longer does.
func (m *keptMaster) end(top int) {
	m.t.Helper()
	if err := syscall.Kill(top, syscall.SIGTERM); err != nil {
		m.t.Error(err)
	}
	for ctx := bounded(m.t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) { // it is nobody's here to wait for
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", top)); err != nil || len(line) == 0 {
			return
		}
	}
	m.t.Errorf("process %d does not end", top)
}

// A master whose keeper has ended is the keeper of the next one, and its workers never know.
func TestNextKeeper(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	for range 3 {
		old := st
		if err := syscall.Kill(old.KeeperPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		st = m.await("the master is the keeper", func(st api.Status) bool { return st.KeeperPID == old.PID && allAppsReady(st) })
		if now := pids(onlyApp(st)); !slices.Equal(now, before) {
			t.Fatalf("workers are %v, were %v", now, before)
		}
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
	m.end(st.KeeperPID)
}

// A master that cannot become a keeper goes on as it is, and says so; nothing of it was given away. It becomes one when it can.
func TestNoNextKeeper(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	if err := os.WriteFile(m.dir+"/no-next-keeper", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(st.KeeperPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	now := m.await("nobody is above", func(st api.Status) bool { return st.KeeperPID == 0 })
	if now.PID != st.PID || !slices.Equal(pids(onlyApp(now)), before) {
		t.Errorf("master %d with workers %v, was %d with %v", now.PID, pids(onlyApp(now)), st.PID, before)
	}
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	now = m.await("reloaded", allAppsReady)
	for _, pid := range pids(onlyApp(now)) {
		if slices.Contains(before, pid) {
			t.Errorf("worker %d has survived a reload", pid)
		}
	}
	before = pids(onlyApp(now))
	if err := os.Remove(m.dir + "/no-next-keeper"); err != nil {
		t.Fatal(err)
	}
	next := m.await("the master is the keeper", func(st api.Status) bool { return st.KeeperPID == now.PID && allAppsReady(st) })
	if workers := pids(onlyApp(next)); !slices.Equal(workers, before) {
		t.Errorf("workers are %v, were %v", workers, before)
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
	m.end(next.KeeperPID)
	if text := m.log.String(); strings.Count(text, "nobody starts another") != 1 || !strings.Contains(text, `"why":"no next keeper"`) {
		t.Error("it does not say once that nobody starts another, and why")
	}
}

package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
)

func testTimes(a config.App) config.App {
	a.DrainDelay, a.KillAfter = 20*time.Millisecond, time.Second
	a.Backoff.Base = 20 * time.Millisecond
	return a
}

func asExit(err error, to **ExitError) bool { return errors.As(err, to) }

// TestOneShotIsAnyProgram: it runs as long as it likes, says nothing on its channel,
// and ends the master when it was the last.
func TestOneShotIsAnyProgram(t *testing.T) {
	log := &lockedBuffer{}
	j := oneShot("job", "exec 3>&-; echo slot $TINE_SLOT of $TINE_APP in $TINE_GENERATION instance $NODE_APP_INSTANCE; sleep 0.5; echo done")
	j.ReadyTimeout = 100 * time.Millisecond
	s, err := New(&config.Config{Name: "test", Log: config.Log{Format: "json"}, Apps: []config.App{j}}, WithOutput(log, log))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(bounded(t)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"slot 0 of job in 1 instance 0", `"done"`, "all workers have finished"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "replacing it") || strings.Contains(log.String(), "does not read") {
		t.Errorf("blamed for its channel:\n%s", log)
	}
}

// TestOneShotDoesNotHoldUpReady, and is run again by a reload of its name only.
func TestOneShotDoesNotHoldUpReady(t *testing.T) {
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	m := startMaster(t, func(c *config.Config) {
		c.Apps = append(c.Apps, oneShot("job", "echo >> "+runs+"; test -e "+dir+"/go || exec sleep 60"))
	})
	if a := m.app("job"); a.State != control.AppRunning || a.Workers[0].State != "starting" {
		t.Errorf("%+v", a)
	}
	m.must(control.Order{Verb: control.VerbReload}) // of all
	if n := lines(t, runs); n != 1 {
		t.Errorf("%d runs", n)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.must(control.Order{Verb: control.VerbReload, App: "job"})
	if a := m.app("job"); a.State != control.AppFinished || lines(t, runs) != 2 {
		t.Errorf("%d runs, %+v", lines(t, runs), a)
	}
	m.must(control.Order{Verb: control.VerbStart, App: "job"})
	if n := lines(t, runs); n != 3 {
		t.Errorf("%d runs", n)
	}
}

func lines(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
)

// TestReadyWhicheverWayAJobEnds: beside an app that serves, a one-shot app keeps nobody waiting, also where it never ran.
func TestReadyWhicheverWayAJobEnds(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	job := func(script string) config.App {
		j := oneShot("job", script)
		j.StartLimit = 2
		return j
	}
	hooked := func(hook string) config.App {
		j := job("exit 0")
		j.Hooks.BeforeStart = config.Hook{Command: []string{"sh", "-c", hook}, Timeout: 100 * time.Millisecond}
		return j
	}
	interpreter := job("")
	interpreter.Command = []string{file("job", "#!/no/such/interpreter\n")}
	vanishes := job("")
	vanishes.Command = []string{file("vanishes", "#!/bin/sh\nrm \"$0\"; exit 1\n")}
	never := job("exit 3")
	never.Restart = config.RestartNever
	endless := job("")
	endless.Command, endless.StartLimit = interpreter.Command, 0
	endless.Backoff.Base, endless.Backoff.Max = time.Hour, time.Hour
	scheduled := job("")
	scheduled.Command, scheduled.CronRestart = interpreter.Command, "@yearly"
	for name, c := range map[string]struct {
		job   config.App
		state string
	}{
		"cannot be executed":           {interpreter, control.AppGaveUp},
		"vanishes":                     {vanishes, control.AppGaveUp},
		"its hook fails":               {hooked("exit 1"), control.AppGaveUp},
		"its hook takes too long":      {hooked("sleep 60"), control.AppGaveUp},
		"exits with 0":                 {job("exit 0"), control.AppFinished},
		"exits with 1":                 {job("exit 1"), control.AppGaveUp},
		"is never restarted":           {never, control.AppGaveUp},
		"is killed":                    {job("kill -9 $$"), control.AppGaveUp},
		"runs":                         {job("exec sleep 60"), control.AppRunning},
		"is tried for ever":            {endless, control.AppRunning},
		"gave up until its next time":  {scheduled, control.AppGaveUp},
		"ends with what depends on it": {interpreter, control.AppGaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMaster(t, func(conf *config.Config) { // waits for Ready
				conf.Apps = append(conf.Apps, c.job)
				if strings.Contains(name, "depends") {
					after := job("exit 0")
					after.Name, after.DependsOn = "after", map[string]string{"job": config.DependsExited}
					conf.Apps = append(conf.Apps, after)
				}
			})
			for deadline := time.Now().Add(10 * time.Second); m.app("job").State != c.state; {
				if time.Now().After(deadline) {
					t.Fatalf("it is %q, wanted %q", m.app("job").State, c.state)
				}
				<-time.After(5 * time.Millisecond)
			}
			if failed := m.app("job").Failed; failed != (c.state == control.AppGaveUp) {
				t.Errorf("its failed is %v", failed)
			}
			if strings.Contains(name, "depends") && !m.app("after").Failed {
				t.Errorf("what depends on it is %+v", m.app("after"))
			}
		})
	}
}

// A master of nothing but a job that cannot be started now, and will be at its next time, is ready: it goes on.
func TestReadyWithoutAnyAppThatRuns(t *testing.T) {
	j := oneShot("job", "")
	j.Command, j.StartLimit, j.CronRestart = []string{filepath.Join(t.TempDir(), "job")}, 1, "@yearly"
	if err := os.WriteFile(j.Command[0], []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := startMaster(t, func(c *config.Config) { c.Apps = []config.App{j} })
	if a := m.app("job"); a.State != control.AppGaveUp {
		t.Errorf("it is %q", a.State)
	}
}

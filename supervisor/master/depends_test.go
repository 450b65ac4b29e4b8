package master

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// job is a one-shot app that runs a shell script.
func oneShot(name, script string) config.App {
	a := config.NewApp(name, "sh", "-c", script)
	a.OneShot, a.Workers = true, 1
	a.Backoff.Base, a.KillAfter = 0, 0
	a = testTimes(a)
	return a
}

// events are the ids of some kinds, in order.
func (m *master) events(kinds ...string) (all []api.Event) {
	m.t.Helper()
	err := m.Events(bounded(m.t), 0, false, func(e api.Event) error {
		if slices.Contains(kinds, e.Kind) {
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

func of(app, kind string) func(api.Event) bool {
	return func(e api.Event) bool { return e.App == app && e.Kind == kind }
}

// TestStartInTheOrderOfDependencies: web waits for api, which waits for a job; and the
// stop goes the other way.
func TestStartInTheOrderOfDependencies(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "go")
	m := startMaster(t, func(c *config.Config) {
		web, api := c.Apps[0], testApp("api", "", 1)
		web.DependsOn = map[string]string{"api": config.DependsReady}
		api.DependsOn = map[string]string{"migrate": config.DependsExited}
		c.Apps = []config.App{web, api, oneShot("migrate", "echo migrating; echo done > "+pipe)}
	})
	if b, err := os.ReadFile(pipe); err != nil || string(b) != "done\n" {
		t.Errorf("%q, %v", b, err)
	}
	if a := m.app("migrate"); a.State != api.AppFinished || !a.OneShot {
		t.Errorf("%+v", a)
	}
	at := map[string]uint64{}
	for _, e := range m.events("app ended", "ready", "spawned") {
		key := e.App + " " + e.Kind
		if at[key] == 0 || e.Kind == "ready" {
			at[key] = e.ID
		}
	}
	if at["api spawned"] < at["migrate app ended"] || at["web spawned"] < at["api ready"] {
		t.Errorf("order of the start: %v", at)
	}
	waits := m.events("waiting")
	if len(waits) < 2 || !strings.Contains(waits[0].Message, "is not ready") {
		t.Errorf("%+v", waits)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
	ended := m.events("app ended", "draining")
	var order []string
	for _, e := range ended {
		order = append(order, e.App+" "+e.Kind)
	}
	if web, api := slices.Index(order, "web app ended"), slices.Index(order, "api draining"); web < 0 || api < web {
		t.Errorf("order of the stop: %v", order)
	}
}

// TestDependencyThatFails: who depends on it is not started and says so, and a start by
// a person starts both.
func TestDependencyThatFails(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	m := startMaster(t, func(c *config.Config) {
		late := testApp("late", "", 1)
		late.DependsOn = map[string]string{"check": config.DependsExited}
		check := oneShot("check", "test -e "+good+" || { echo no database >&2; exit 4; }")
		check.StartLimit = 2
		c.Apps = append(c.Apps, late, check)
		if err := os.WriteFile(good, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	m.must(api.Order{Verb: api.VerbStop, App: "late"})
	if steps, err := m.do(api.Order{Verb: api.VerbStart, App: "check"}); err == nil {
		t.Fatalf("%+v", steps)
	}
	if a := m.app("check"); a.State != api.AppGaveUp {
		t.Fatalf("%+v", a)
	}
	mark := m.lastEvent()
	_, err := m.do(api.Order{Verb: api.VerbStart, App: "late"})
	if err == nil || !strings.Contains(err.Error(), "check has failed") {
		t.Fatalf("got %v", err)
	}
	if a := m.app("late"); a.State != api.AppWaiting || !strings.Contains(a.Error, "check has failed") {
		t.Errorf("%+v", a)
	}
	m.await(mark, of("late", "not started"))
	m.refused(api.Order{Verb: api.VerbReload, App: "late"}, 409, "check has failed")
	if err := os.WriteFile(good, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.must(api.Order{Verb: api.VerbStart, App: "late"})
	if a := m.app("late"); a.State != api.AppRunning || a.Ready != 1 || a.Error != "" {
		t.Errorf("%+v", a)
	}
	if a := m.app("check"); a.State != api.AppFinished {
		t.Errorf("%+v", a)
	}
}

// TestStartFailsWithADependency: where all that is left waits for what has failed, the
// master ends.
func TestStartFailsWithADependency(t *testing.T) {
	late := testApp("late", "", 1)
	late.DependsOn = map[string]string{"check": config.DependsExited}
	check := oneShot("check", "exit 4")
	check.StartLimit = 2
	log := &lockedBuffer{}
	s, err := New(&config.Config{Name: "test", Log: config.Log{Format: "json"}, Apps: []config.App{late, check}}, WithOutput(log, log))
	if err != nil {
		t.Fatal(err)
	}
	var exit *ExitError
	if err := s.Run(bounded(t)); !asExit(err, &exit) || exit.App != "check" || exit.Code != 70 {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "app not started: what it depends on has failed") {
		t.Errorf("not said:\n%s", log)
	}
}

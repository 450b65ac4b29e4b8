package master

import (
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

func TestCronRestartRolls(t *testing.T) {
	m := startMaster(t, func(c *config.Config) {
		c.Apps[0].CronRestart = "@every 1s"
		j := oneShot("job", "exit 0")
		j.CronRestart = "@every 1s"
		c.Apps = append(c.Apps, j)
	})
	mark := m.lastEvent()
	if next := m.app("web").NextRun; next == nil || time.Until(*next) > time.Second {
		t.Errorf("next run %v", next)
	}
	e := m.await(mark, of("web", "rollout begin"))
	if e.Reason != "cron: @every 1s" {
		t.Errorf("%+v", e)
	}
	m.await(e.ID, of("web", "rollout done"))
	e = m.await(mark, of("job", "app ended"))
	m.await(e.ID, of("job", "app ended")) // and again
	m.must(api.Order{Verb: api.VerbStop, App: "job"})
	if a := m.app("job"); a.State != api.AppStopped || a.NextRun != nil {
		t.Errorf("%+v", a)
	}
}

// TestNotAtStart: a one-shot app that is left out at the start holds up nothing, and may be started before its time.
func TestNotAtStart(t *testing.T) {
	m := startMaster(t, func(c *config.Config) {
		late := oneShot("late", "exit 0")
		late.NotAtStart, late.CronRestart = true, "0 0 29 2 *"
		c.Apps = []config.App{late}
	})
	if a := m.app("late"); a.State != api.AppWaiting || a.NextRun == nil || a.Error != "" || a.CrashesTotal != 0 {
		t.Errorf("before its time: %+v", a)
	}
	m.must(api.Order{Verb: api.VerbStart, App: "late"})
	m.await(0, of("late", pool.KindSpawned.String()))
	if a := m.app("late"); a.State != api.AppFinished {
		t.Errorf("after a start: %+v", a)
	}
}

package supervisor

import (
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control"
)

func TestSchedule(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	type look struct {
		now string
		due bool
	}
	for name, c := range map[string]struct {
		text, start string
		looks       []look
		next        string
	}{
		"not yet":            {"CRON_TZ=UTC 30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:29:59", false}}, "2026-01-01 04:30:00"},
		"once":               {"CRON_TZ=UTC 30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-01 04:30:00", true}, {"2026-01-01 04:30:00", false}}, "2026-01-02 04:30:00"},
		"missed for days":    {"CRON_TZ=UTC 30 4 * * *", "2026-01-01 04:29:00", []look{{"2026-01-07 12:00:00", true}, {"2026-01-07 12:00:01", false}}, "2026-01-08 04:30:00"},
		"clock set back":     {"CRON_TZ=UTC 30 4 * * *", "2026-01-07 12:00:00", []look{{"2026-01-01 01:00:00", false}}, "2026-01-01 04:30:00"},
		"every":              {"@every 90m", "2026-01-01 00:00:00", []look{{"2026-01-01 01:29:59", false}, {"2026-01-01 01:30:00", true}}, "2026-01-01 03:00:00"},
		"every, often asked": {"@every 90m", "2026-01-01 00:00:00", []look{{"2026-01-01 00:30:00", false}, {"2026-01-01 01:00:00", false}}, "2026-01-01 01:30:00"},
		"summer time begins": {"CRON_TZ=Europe/Vienna 0 3 * * *", "2026-03-28 12:00:00", []look{{"2026-03-29 00:59:00", false}, {"2026-03-29 01:00:00", true}}, "2026-03-30 01:00:00"},
	} {
		s, err := newSchedule(c.text, at(c.start))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, l := range c.looks {
			if due := s.due(at(l.now)); due != l.due {
				t.Errorf("%s: at %s due is %v", name, l.now, due)
			}
		}
		if !s.next.Equal(at(c.next)) {
			t.Errorf("%s: next %s, want %s", name, s.next, c.next)
		}
		if w := s.wait(at(c.looks[len(c.looks)-1].now)); w <= 0 || w > cronLook {
			t.Errorf("%s: waits %s", name, w)
		}
	}
	if s, err := newSchedule("", time.Now()); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestCronRestartRolls(t *testing.T) {
	m := startMaster(t, func(c *Config) {
		c.Apps[0].CronRestart = "@every 1s"
		j := oneShot("job", "exit 0")
		j.CronRestart = "@every 1s"
		c.Apps = append(c.Apps, j)
	})
	mark := m.lastEvent()
	e := m.await(mark, of("web", "rollout begin"))
	if e.Reason != "cron: @every 1s" {
		t.Errorf("%+v", e)
	}
	m.await(e.ID, of("web", "rollout done"))
	e = m.await(mark, of("job", "app ended"))
	m.await(e.ID, of("job", "app ended")) // and again
	m.must(control.Order{Verb: control.VerbStop, App: "job"})
	if a := m.app("job"); a.State != control.AppStopped {
		t.Errorf("%+v", a)
	}
}

package journal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// TestLine: a line has the fields that its kind has, and the level of what a person has to look into.
func TestLine(t *testing.T) {
	crash := pool.Record{Kind: pool.KindExited, ID: 7, Slot: 2, PID: 4711, State: pool.StateReady, Code: 3, Took: 1500 * time.Microsecond}
	asked := crash
	asked.State = pool.StateDraining
	for name, c := range map[string]struct {
		r      pool.Record
		words  string
		silent bool
		level  zerolog.Level
		has    []string
		not    []string
	}{
		"a crash":          {crash, "panic: x", false, zerolog.ErrorLevel, []string{`"code":3`, `"slot":2`, `"worker":7`, `"pid":4711`, `"took_ms":1.5`, `"last_words":"panic: x"`}, []string{`"signal"`, `"reason"`}},
		"an end by order":  {asked, "", false, zerolog.InfoLevel, []string{`"code":3`}, []string{"last_words"}},
		"never ready":      {pool.Record{Kind: pool.KindReadyTimeout, ID: 1, Slot: 0}, "", true, zerolog.ErrorLevel, []string{"does the program call worker.Start?"}, nil},
		"never ready, met": {pool.Record{Kind: pool.KindReadyTimeout, ID: 1, Slot: 0}, "", false, zerolog.ErrorLevel, nil, []string{"hint"}},
		"recycled in haste": {pool.Record{Kind: pool.KindRecycle, ID: 1, Slot: 0, Delay: time.Second}, "", false, zerolog.WarnLevel,
			[]string{`"delay_ms":1000`, "hint"}, nil},
		"recycled": {pool.Record{Kind: pool.KindRecycle, ID: 1, Slot: -1}, "", false, zerolog.InfoLevel, nil, []string{"hint", `"slot"`}},
	} {
		if got := LevelOf(c.r); got != c.level {
			t.Errorf("%s: level %v, want %v", name, got, c.level)
		}
		var out bytes.Buffer
		log := zerolog.New(&out)
		WriteLine(log.Info(), c.r, c.words, c.silent)
		for _, want := range c.has {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %s in %s", name, want, out.String())
			}
		}
		for _, not := range c.not {
			if strings.Contains(out.String(), not) {
				t.Errorf("%s: %s in %s", name, not, out.String())
			}
		}
	}
}

// TestHistory: a restart is a worker that follows one which went without an order.
func TestHistory(t *testing.T) {
	var h History
	status := func() pool.Status { return pool.Status{Wanted: 2} }
	exit := func(state pool.State, code int) {
		h.Note(pool.Record{Kind: pool.KindExited, Slot: 1, State: state, Code: code}, status)
	}
	h.Filled(1)
	exit(pool.StateReady, 2)
	h.Filled(1)
	exit(pool.StateDraining, 0)
	h.Filled(1)
	h.Filled(-1) // a standby
	if h.Restarts != 1 || h.Crashes != 1 || h.Slots[1].Restarts != 1 || h.Slots[1].LastExit != "exit 0" {
		t.Errorf("%+v", h)
	}
	exit(pool.StateReady, 0)
	h.Note(pool.Record{Kind: pool.KindRolloutBegin, Reason: "why"}, status)
	h.Filled(1)
	if h.Restarts != 1 {
		t.Errorf("a rollout counts as a restart: %+v", h)
	}
	h.Note(pool.Record{Kind: pool.KindRolloutAborted, Generation: 4, Reason: "it fails"}, status)
	if r := h.LastRollout; r == nil || r.Reason != "why" || r.Error != "it fails" || r.Total != 2 || h.Rollouts[pool.KindRolloutAborted] != 1 {
		t.Errorf("%+v", h)
	}
}

// TestTellApps: each kind of record of the core between the apps is told, and none says two different things.
func TestTellApps(t *testing.T) {
	for kind, want := range map[apps.Kind]struct{ line, event string }{
		apps.KindWaiting:    {`{"level":"info","app":"web","reason":"watch: a","message":"app waits for what it depends on"}`, "info waiting: app web waits: watch: a"},
		apps.KindNotStarted: {`{"level":"error","app":"web","reason":"watch: a","message":"app not started: what it depends on has failed"}`, "error not started: app web is not started: watch: a"},
		apps.KindLeftOut:    {`{"level":"info","app":"web","next_run":"2026-01-02T00:00:00Z","message":"one-shot app not run at the start"}`, ""},
		apps.KindCron:       {"", "info cron: app web is restarted: watch: a"},
		apps.KindWatch:      {"", "info watch: files of app web have changed: a"},
		apps.KindNotAgain:   {`{"level":"warn","app":"web","reason":"watch: a","state":"running","message":"one-shot app not run again: it has not ended"}`, ""},
		apps.KindMissed:     {`{"level":"warn","app":"web","crashes":3,"message":"hook on_crash not run for some crashes: too many at once"}`, ""},
		apps.KindRemoved:    {`{"level":"info","app":"web","message":"app is no longer in the config; stopping it"}`, ""},
		apps.KindImpossible: {`{"level":"error","app":"web","state":"running","reason":"watch: a","message":"this cannot happen; please report it"}`, ""},
	} {
		var out bytes.Buffer
		log, event := zerolog.New(&out), ""
		r := apps.Record{Kind: kind, Reason: "watch: a", State: apps.Running, Count: 3, Next: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
		TellApps(r, "web", log.WithLevel, func(l zerolog.Level, e api.Event) { event = l.String() + " " + e.Kind + ": " + e.Message })
		if got := strings.TrimSpace(out.String()); got != want.line || event != want.event {
			t.Errorf("%v: %s, %q", kind, got, event)
		}
	}
}

package journal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
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

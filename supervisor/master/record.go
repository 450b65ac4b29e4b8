package master

import (
	"fmt"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/pool"
)

// levels says how loud each kind of record is. What a person has to look into is a
// warning or an error; what he expects after his own command is not.
var levels = map[pool.Kind]zerolog.Level{
	pool.KindSpawned:        zerolog.DebugLevel,
	pool.KindSpawnFailed:    zerolog.ErrorLevel,
	pool.KindReadyTimeout:   zerolog.ErrorLevel,
	pool.KindStalled:        zerolog.WarnLevel,
	pool.KindDrainTimeout:   zerolog.WarnLevel,
	pool.KindKilling:        zerolog.WarnLevel,
	pool.KindAbandoned:      zerolog.ErrorLevel,
	pool.KindBackoff:        zerolog.WarnLevel,
	pool.KindRolloutAborted: zerolog.ErrorLevel,
	pool.KindRolloutDropped: zerolog.WarnLevel,
	pool.KindGaveUp:         zerolog.ErrorLevel,
	pool.KindIgnored:        zerolog.WarnLevel,
	pool.KindImpossible:     zerolog.ErrorLevel,
}

// record writes what a core recorded as one line, with the fields that its kind has.
func (l *loop) record(a *app, r pool.Record) {
	level, ok := levels[r.Kind]
	if !ok {
		level = zerolog.InfoLevel
	}
	if r.Kind == pool.KindExited && r.Unasked() {
		level = zerolog.ErrorLevel
	}
	if r.Kind == pool.KindRecycle && r.Delay > 0 {
		level = zerolog.WarnLevel
	}
	a.history.note(r, a.pool.Status)
	event := eventOf(a, r)
	l.event(a, level, event)
	l.factForOrders(a, r, event.Message)
	e := l.logs.WithLevel(level).Str("app", a.name)
	if r.Slot >= 0 {
		e.Int("slot", r.Slot)
	}
	if r.ID != 0 {
		e.Uint64("worker", uint64(r.ID)).Stringer("state", r.State)
	}
	if r.PID != 0 {
		e.Int("pid", r.PID)
	}
	if r.Generation != 0 {
		e.Int("generation", r.Generation)
	}
	if r.Reason != "" && r.Kind != pool.KindExited { // there it says what code and signal do
		e.Str("reason", r.Reason)
	}
	if r.Took != 0 {
		e.Float64("took_ms", ms(r.Took))
	}
	if r.Delay != 0 {
		e.Float64("delay_ms", ms(r.Delay))
	}
	if r.Failures != 0 {
		e.Int("failures", r.Failures)
	}
	switch r.Kind {
	case pool.KindExited:
		e.Int("code", r.Code)
		if r.Signal != 0 {
			e.Stringer("signal", syscall.Signal(r.Signal))
		}
		if m := a.lastExit; m.id == r.ID && m.words != "" && r.Unasked() {
			e.Str("last_words", m.words)
		}
	case pool.KindReadyTimeout:
		if m := a.members[r.ID]; m != nil && !m.greeting {
			e.Str("hint", "it never said hello on its channel: does the program call worker.Start?")
		}
	case pool.KindRecycle:
		if r.Delay > 0 {
			e.Str("hint", hasteHint)
		}
	case pool.KindScaled:
		e.Int("slots", r.Slots)
	}
	e.Msg(r.Kind.String())
}

// hasteHint is said of workers that are replaced a moment after they were ready, one after the other.
const hasteHint = "the limit is below what the program needs: raise it, or see what the program does; replacements wait longer and longer"

// haste is the slot whose workers are replaced like that, in words; "": none is.
func haste(st pool.Status) string {
	for _, s := range st.Slots {
		if s.Hasty == 0 {
			continue
		}
		why := s.Replacing
		for _, w := range s.Workers {
			if w.Recycle != "" {
				why = w.Recycle
			}
		}
		if why != "" {
			why = " (" + why + ")"
		}
		return fmt.Sprintf("slot %d: %d workers in a row had to be replaced within a minute of being ready%s: %s", s.Slot, s.Hasty, why, hasteHint)
	}
	return ""
}

package journal

import (
	"fmt"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// levels says how loud each kind of record is. What a person has to look into is a warning or an error; what follows from a
// command is not.
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

// LevelOf says how loud r is.
func LevelOf(r pool.Record) zerolog.Level {
	level, ok := levels[r.Kind]
	switch {
	case r.Kind == pool.KindExited && r.Unasked():
		return zerolog.ErrorLevel
	case r.Kind == pool.KindRecycle && r.Delay > 0:
		return zerolog.WarnLevel
	case !ok:
		return zerolog.InfoLevel
	}
	return level
}

// WriteLine writes r as one line of the log, with the fields that its kind has. words are the last words of the worker that the
// record is about; "": it had none. silent says that the worker has never said hello on its channel.
func WriteLine(e *zerolog.Event, r pool.Record, words string, silent bool) {
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
		e.Float64("took_ms", api.Milliseconds(r.Took))
	}
	if r.Delay != 0 {
		e.Float64("delay_ms", api.Milliseconds(r.Delay))
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
		if words != "" {
			e.Str("last_words", words)
		}
	case pool.KindReadyTimeout:
		if silent {
			e.Str("hint", "it never said hello on its channel: does the program call worker.Start?")
		}
	case pool.KindRecycle:
		if r.Delay > 0 {
			e.Str("hint", HasteHint)
		}
	case pool.KindScaled:
		e.Int("slots", r.Slots)
	}
	e.Msg(r.Kind.String())
}

// HasteHint is said of workers that are replaced a moment after they were ready, one after the other.
const HasteHint = "the limit is below what the program needs: raise it, or see what the program does; replacements wait longer and longer"

// Haste is the slot whose workers are replaced like that, in words; "": none is.
func Haste(st pool.Status) string {
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
		return fmt.Sprintf("slot %d: %d workers in a row had to be replaced within a minute of being ready%s: %s", s.Slot, s.Hasty, why, HasteHint)
	}
	return ""
}

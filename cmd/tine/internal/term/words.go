package term

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/tinehq/tine/supervisor/control/api"
)

// Where names the subject of a line or an event: web/2, web/standby, web, or tine.
func Where(app string, slot *int) string {
	switch {
	case app == "":
		return "tine"
	case slot == nil:
		return app
	case *slot < 0:
		return app + "/standby"
	}
	return fmt.Sprintf("%s/%d", app, *slot)
}

// EventText returns an event in one line. The last words of a worker follow on lines of their own.
func EventText(s Screen, e api.Event) string {
	if e.Kind == api.EventMissed {
		return s.Paint(Yellow, fmt.Sprintf("(%d events are missing here)", e.Missed))
	}
	var rest []string
	add := func(format string, args ...any) { rest = append(rest, fmt.Sprintf(format, args...)) }
	if e.PID != 0 {
		add("pid %d", e.PID)
	}
	switch {
	case e.Signal != "":
		add("by %s", e.Signal)
	case e.Code != 0:
		add("with %d", e.Code)
	}
	if e.Reason != "" {
		add("%s", s.Harmless(strings.TrimPrefix(e.Reason, e.Kind+": ")))
	}
	if e.Message != "" && e.PID == 0 && e.Reason == "" { // else the message repeats them
		add("%s", s.Harmless(e.Message))
	}
	if e.TookMS > 0 {
		add("after %s", Milliseconds(e.TookMS))
	}
	if e.DelayMS > 0 {
		add("next attempt in %s", Milliseconds(e.DelayMS))
	}
	if e.Failures > 1 {
		add("%d failures in a row", e.Failures)
	}
	kind := s.Paint(levelColour(e.Level), e.Kind)
	text := fmt.Sprintf("%s  %-10s %s", s.Paint(Dim, e.Time.Local().Format("15:04:05.000")), Where(e.App, e.Slot), kind)
	if len(rest) > 0 {
		text += ": " + strings.Join(rest, ", ")
	}
	if e.LastWords != "" {
		for line := range strings.SplitSeq(strings.TrimRight(e.LastWords, "\n"), "\n") {
			text += "\n              | " + s.Harmless(line)
		}
	}
	return text
}

func levelColour(level string) Colour {
	switch level {
	case "warn":
		return Yellow
	case "error", "fatal":
		return Red
	}
	return Plain
}

// Dash returns text, or "-" for none.
func Dash(text string) string {
	return cmp.Or(text, "-")
}

// AppState returns the state of an app in one or two words.
func AppState(a api.App) Cell {
	switch {
	case a.Rollout != nil && a.Rollout.State == api.RolloutRunning:
		return Yellow.Cell(fmt.Sprintf("reloading %d/%d", a.Rollout.Done, a.Rollout.Total))
	case a.Failed, a.State == api.AppGaveUp:
		return Red.Cell(a.State)
	case a.State == api.AppRunning && len(a.Unreachable) > 0:
		return Red.Cell("unreachable")
	case a.State == api.AppRunning && a.Ready >= a.Desired:
		return Green.Cell(a.State)
	case a.State == api.AppRunning:
		return Yellow.Cell(a.State)
	}
	return Dim.Cell(a.State)
}

// WorkerState returns the state of a worker in one or two words.
func WorkerState(w api.Worker) Cell {
	switch {
	case w.Stalled != "":
		return Red.Cell(w.State + ", stalled")
	case w.Unkept:
		return Red.Cell(w.State + ", not kept")
	case w.State == "ready":
		return Green.Cell(w.State)
	case w.State == "backoff", w.State == "killing":
		return Red.Cell(w.State)
	case w.State == "gone", w.State == "vacant", w.State == "drained", w.State == "finished":
		return Dim.Cell(w.State)
	}
	return Yellow.Cell(w.State)
}

// Steered reports whether the connections of an app are steered.
func Steered(a api.App) bool { return a.Steering != "" && a.Steering != api.SteeringNone }

// LogText returns a log line with its writer, and with its time if times is set. Where lines are missing before it, a line
// of its own says how many.
func LogText(s Screen, l api.LogLine, times bool) string {
	text := ""
	if l.Missed > 0 {
		text = s.Paint(Yellow, fmt.Sprintf("(%d lines are missing here)", l.Missed))
		if l.Text == "" {
			return text
		}
		text += "\n"
	}
	if times {
		text += s.Paint(Dim, l.Time.Local().Format("2006-01-02T15:04:05.000")) + " "
	}
	writer := Where(l.App, l.Slot)
	if l.Stream == api.StreamMaster {
		message := l.Text
		if l.App != "" {
			message = writer + " " + message
		}
		return text + s.Paint(Dim, fmt.Sprintf("%-8s", "tine")+" | ") + s.Paint(levelColour(l.Level), s.Harmless(message))
	}
	h := fnv.New32a()
	h.Write([]byte(writer))
	bar := " | "
	if l.Stream == api.StreamStderr {
		bar = s.Paint(Red, " | ")
	}
	text += s.Paint(rotation[h.Sum32()%uint32(len(rotation))], fmt.Sprintf("%-8s", writer)) + bar + s.Harmless(l.Text)
	if l.Partial {
		text += s.Paint(Dim, " [partial]")
	}
	return text
}

// Whom names the subject of an order: web/2, web, or all apps.
func Whom(o api.Order) string {
	switch {
	case o.App == "":
		return "all apps"
	case o.Slot != nil:
		return Where(o.App, o.Slot)
	}
	return o.App
}

func StepText(step api.Progress) string {
	text := step.Message
	if text == "" {
		text = step.State
		if step.PID != 0 {
			text += fmt.Sprintf(", pid %d", step.PID)
		}
	}
	return strings.TrimSpace(text)
}

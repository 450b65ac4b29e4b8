package term

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/tinehq/tine/supervisor/control"
)

// Where names what a line or event is about: web/2, web, or tine itself.
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

// EventText is an event in one line, or more where it has last words.
func EventText(s Screen, e control.Event) string {
	if e.Kind == control.EventMissed {
		return s.Paint(Yellow, fmt.Sprintf("(%d events are missing here)", e.Missed))
	}
	var rest []string
	say := func(format string, args ...any) { rest = append(rest, fmt.Sprintf(format, args...)) }
	if e.PID != 0 {
		say("pid %d", e.PID)
	}
	switch {
	case e.Signal != "":
		say("by %s", e.Signal)
	case e.Code != 0:
		say("with %d", e.Code)
	}
	if e.Reason != "" {
		say("%s", s.Harmless(strings.TrimPrefix(e.Reason, e.Kind+": ")))
	}
	if e.Message != "" && e.PID == 0 && e.Reason == "" { // else it says the same
		say("%s", s.Harmless(e.Message))
	}
	if e.TookMS > 0 {
		say("after %s", Milliseconds(e.TookMS))
	}
	if e.DelayMS > 0 {
		say("next attempt in %s", Milliseconds(e.DelayMS))
	}
	if e.Failures > 1 {
		say("%d failures in a row", e.Failures)
	}
	kind := s.Paint(levelColour(e.Level), e.Kind)
	text := fmt.Sprintf("%s  %-10s %s", s.Paint(Dim, e.Time.Local().Format("15:04:05.000")), Where(e.App, e.Slot), kind)
	if len(rest) > 0 {
		text += ": " + strings.Join(rest, ", ")
	}
	if e.LastWords != "" {
		for _, line := range strings.Split(strings.TrimRight(e.LastWords, "\n"), "\n") {
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

func Dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func AppState(a control.App) Cell {
	switch {
	case a.Rollout != nil && a.Rollout.State == control.RolloutRunning:
		return Yellow.Cell(fmt.Sprintf("reloading %d/%d", a.Rollout.Done, a.Rollout.Total))
	case a.Failed, a.State == control.AppGaveUp:
		return Red.Cell(a.State)
	case a.State == control.AppRunning && len(a.Unreachable) > 0:
		return Red.Cell("unreachable")
	case a.State == control.AppRunning && a.Ready >= a.Desired:
		return Green.Cell(a.State)
	case a.State == control.AppRunning:
		return Yellow.Cell(a.State)
	}
	return Dim.Cell(a.State)
}

func WorkerState(w control.Worker) Cell {
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

// Steered says whether an app has connections that are steered.
func Steered(a control.App) bool { return a.Steering != "" && a.Steering != control.SteeringNone }

// LogText is a line of output with who wrote it.
func LogText(s Screen, l control.LogLine, times bool) string {
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
	who := Where(l.App, l.Slot)
	if l.Stream == control.StreamMaster {
		said := l.Text
		if l.App != "" {
			said = who + " " + said
		}
		return text + s.Paint(Dim, fmt.Sprintf("%-8s", "tine")+" | ") + s.Paint(levelColour(l.Level), s.Harmless(said))
	}
	h := fnv.New32a()
	h.Write([]byte(who))
	bar := " | "
	if l.Stream == control.StreamStderr {
		bar = s.Paint(Red, " | ")
	}
	text += s.Paint(rotation[h.Sum32()%uint32(len(rotation))], fmt.Sprintf("%-8s", who)) + bar + s.Harmless(l.Text)
	if l.Partial {
		text += s.Paint(Dim, " [partial]")
	}
	return text
}

// Whom names the app of an order.
func Whom(o control.Order) string {
	switch {
	case o.App == "":
		return "all apps"
	case o.Slot != nil:
		return Where(o.App, o.Slot)
	}
	return o.App
}

func StepText(step control.Progress) string {
	text := step.Message
	if text == "" {
		text = step.State
		if step.PID != 0 {
			text += fmt.Sprintf(", pid %d", step.PID)
		}
	}
	return strings.TrimSpace(text)
}

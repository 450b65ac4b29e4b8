package term

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Progress shows the steps of one order: on a terminal one line for each app and slot, which changes in place; elsewhere
// one line for each step, or as JSON one document a line. It is not safe for concurrent use.
type Progress struct {
	Screen
	json  bool
	verb  string
	lines []*progressLine // by app and slot
	drawn int             // lines on the terminal
}

// progressLine is the newest step of an app (slot -1) or of a slot. During a surge a slot has two workers: newer is the
// step of the newer one.
type progressLine struct {
	app    string
	slot   int
	worker uint64
	newer  string
	older  string
}

// NewProgress makes the Progress of an order with that verb.
func NewProgress(s Screen, verb string, asJSON bool) *Progress {
	return &Progress{Screen: s, json: asJSON, verb: verb}
}

// Step shows one step.
func (p *Progress) Step(step api.Progress) {
	switch {
	case p.json:
		_ = PrintLine(p, step) // an order does not end because its output is closed
	case step.Final:
	case p.Terminal:
		p.keep(step)
		p.draw()
	default:
		text := StepText(step)
		if step.Total > 0 {
			text += fmt.Sprintf(" (%d/%d)", step.Done, step.Total)
		}
		fmt.Fprintf(p, "%-10s %s\n", Where(step.App, step.Slot), text)
	}
}

// line returns the line of a slot, which it makes where there is none.
func (p *Progress) line(app string, slot int) *progressLine {
	i, found := slices.BinarySearchFunc(p.lines, progressLine{app: app, slot: slot}, func(l *progressLine, want progressLine) int {
		return cmp.Or(cmp.Compare(l.app, want.app), cmp.Compare(l.slot, want.slot))
	})
	if !found {
		p.lines = slices.Insert(p.lines, i, &progressLine{app: app, slot: slot})
	}
	return p.lines[i]
}

func (p *Progress) keep(step api.Progress) {
	all := p.line(step.App, -1)
	all.newer = p.verb
	if step.Total > 0 {
		all.newer += fmt.Sprintf(" %d/%d", min(step.Done, step.Total), step.Total)
	}
	text := p.Harmless(StepText(step))
	if step.Slot == nil {
		if step.Worker == 0 {
			all.older = text
		}
		return
	}
	l := p.line(step.App, *step.Slot)
	switch {
	case step.Worker > l.worker:
		l.older, l.newer, l.worker = l.newer, text, step.Worker
	case step.Worker == l.worker || step.Worker == 0:
		l.newer = text
	default:
		l.older = text
	}
}

func (l *progressLine) text() string {
	name := l.app
	if l.slot >= 0 {
		name = Where(l.app, &l.slot)
	}
	text := fmt.Sprintf("%-10s %s", cmp.Or(name, "tine"), l.newer)
	if l.older != "" {
		text += "; " + l.older
	}
	return text
}

// draw writes all lines over the ones of the last draw. Lines that scroll off the screen cannot be written over, so that
// only the lines of apps are shown where not all fit.
func (p *Progress) draw() {
	lines := p.lines
	if p.Height > 0 && len(lines) >= p.Height {
		lines = slices.DeleteFunc(slices.Clone(lines), func(l *progressLine) bool { return l.slot >= 0 })
		lines = lines[:min(len(lines), p.Height-1)]
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	b.WriteString("\r\x1b[J")
	for _, l := range lines {
		b.WriteString(shorten(l.text(), p.Width-1) + "\n")
	}
	p.drawn = len(lines)
	fmt.Fprint(p, b.String())
}

// End shows the result of the order: done, or the last output of the worker that failed. It returns the error to report;
// with JSON the last document has told a failure already, and the error has an exit status only.
func (p *Progress) End(err error, done string) error {
	var failed *control.Failed
	known := errors.As(err, &failed)
	switch {
	case p.json && known: // the last document has it
		return &ExitError{Code: ExitFailed}
	case p.json:
	case err == nil && done != "":
		fmt.Fprintln(p, done)
	case known && failed.Output != "":
		for line := range strings.SplitSeq(strings.TrimRight(failed.Output, "\n"), "\n") {
			fmt.Fprintln(p, "  | "+p.Harmless(line))
		}
	}
	return err
}

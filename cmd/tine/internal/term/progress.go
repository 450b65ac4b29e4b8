package term

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/control"
)

// Progress shows the steps of an order: on a terminal one line for each app and slot,
// which changes in place, else one line for each step.
type Progress struct {
	Screen
	json  bool
	verb  string
	lines []*progressLine // by app and slot
	drawn int             // lines on the terminal
}

// progressLine is what is known of an app (slot -1) or a slot. In a surge a slot has
// two workers: the newer one is told first.
type progressLine struct {
	app    string
	slot   int
	worker uint64
	newer  string
	older  string
}

func NewProgress(s Screen, verb string, asJSON bool) *Progress {
	return &Progress{Screen: s, json: asJSON, verb: verb}
}

func (p *Progress) Step(step control.Progress) {
	switch {
	case p.json:
		_ = PrintLine(p, step) // the order goes on without its reader
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

// line returns the line of a slot, a new one in its place where there is none.
func (p *Progress) line(app string, slot int) *progressLine {
	i, found := slices.BinarySearchFunc(p.lines, progressLine{app: app, slot: slot}, func(l *progressLine, want progressLine) int {
		return cmp.Or(cmp.Compare(l.app, want.app), cmp.Compare(l.slot, want.slot))
	})
	if !found {
		p.lines = slices.Insert(p.lines, i, &progressLine{app: app, slot: slot})
	}
	return p.lines[i]
}

func (p *Progress) keep(step control.Progress) {
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

// draw writes all lines again over those that stand. More than fit on the screen
// would scroll away before they could be written over: then only the apps' stay.
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

// End says what came of the order, with the output of the worker that failed, and
// returns the error that stays to be reported.
func (p *Progress) End(err error, done string) error {
	var failed *control.Failed
	known := errors.As(err, &failed)
	switch {
	case p.json && known: // it was the last document
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

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tinehq/tine/supervisor/control"
)

// progress shows the steps of an order: on a terminal one line for each slot, which
// changes in place, else one line for each step.
type progress struct {
	screen
	json  bool
	verb  string
	order []string          // the slots, as their lines stand
	now   map[string]string // what each line says
	drawn int               // lines on the terminal
}

func newProgress(s screen, verb string, asJSON bool) *progress {
	return &progress{screen: s, json: asJSON, verb: verb, now: map[string]string{}}
}

func (p *progress) step(step control.Progress) {
	switch {
	case p.json:
		_ = printLine(p, step) // the order goes on without its reader
	case step.Final:
	default:
		p.show(step)
	}
}

func (p *progress) show(step control.Progress) {
	text := step.Message
	if text == "" {
		text = step.State
		if step.PID != 0 {
			text += fmt.Sprintf(", pid %d", step.PID)
		}
	}
	if step.Total > 0 {
		text += fmt.Sprintf(" (%d/%d)", step.Done, step.Total)
	}
	text = p.harmless(strings.TrimSpace(text))
	name := where(step.App, step.Slot)
	line := fmt.Sprintf("%-10s %s", name, text)
	if !p.terminal {
		fmt.Fprintln(p, line)
		return
	}
	if _, known := p.now[name]; !known {
		p.order = append(p.order, name)
	}
	p.now[name] = shorten(line, p.width-1)
	p.draw(name)
}

// draw writes all lines again over those that stand. More than fit on the screen
// would scroll away before they could be written over: then each step is a new line.
func (p *progress) draw(changed string) {
	if p.height > 0 && len(p.order) >= p.height {
		fmt.Fprintln(p, p.now[changed])
		p.drawn = 0
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, name := range p.order {
		b.WriteString("\r\x1b[K" + p.now[name] + "\n")
	}
	p.drawn = len(p.order)
	fmt.Fprint(p, b.String())
}

// end says what came of the order, with the output of the worker that failed, and
// returns the error that stays to be reported.
func (p *progress) end(err error, done string) error {
	if p.json {
		var failed *control.Failed
		if errors.As(err, &failed) { // it was the last document
			return &exitError{code: exitFailed}
		}
		return err
	}
	if err == nil {
		if done != "" {
			fmt.Fprintln(p, done)
		}
		return nil
	}
	var failed *control.Failed
	if errors.As(err, &failed) && failed.Output != "" {
		for _, line := range strings.Split(strings.TrimRight(failed.Output, "\n"), "\n") {
			fmt.Fprintln(p, "  | "+p.harmless(line))
		}
	}
	return err
}

package top

import (
	"fmt"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// prompt is a question to the user. An order is given only after one.
type prompt struct {
	kind  promptKind
	text  string    // the question
	order api.Order // given after the answer
	input string    // what was typed
}

type promptKind int

const (
	promptYes    promptKind = iota // y: do it; any other key: do not
	promptNumber                   // a number of workers is typed
	promptFilter
)

// promptSize is the most characters that can be typed.
const promptSize = 64

func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	}
	m.note = term.Cell{}
	if m.prompt != nil {
		return m.answer(k)
	}
	if m.help {
		m.help = false
		if k.String() != "q" {
			return nil
		}
	}
	page := max(1, m.listHeight()-1)
	if m.inLog {
		page = max(1, m.logHeight()-1)
	}
	switch k.String() {
	case "q":
		return tea.Quit
	case "?":
		m.help = true
	case "tab", "shift+tab":
		m.inLog = !m.inLog
	case "m":
		m.showMembers()
	case "up", "k":
		return m.move(-1)
	case "down", "j":
		return m.move(1)
	case "pgup", "ctrl+b":
		return m.move(-page)
	case "pgdown", "ctrl+f", "space":
		return m.move(page)
	case "home", "g":
		return m.move(-len(m.rows) - len(m.log))
	case "end", "G":
		return m.move(len(m.rows) + len(m.log))
	case "esc":
		switch {
		case m.gateways.shown:
			m.showMembers()
		case m.inLog:
			m.inLog = false
		case m.filter != "":
			m.filter = ""
			m.list()
			return m.choose()
		}
	case "/":
		m.prompt = &prompt{kind: promptFilter, text: "filter", input: m.filter}
	case "r", "s", "d", "S", "a":
		m.question(k.String())
	}
	return nil
}

// move goes up (by < 0) or down by a number of rows, or of lines of the log.
func (m *model) move(by int) tea.Cmd {
	if m.gateways.shown {
		m.gateways.top = max(0, m.gateways.top+by)
		return nil
	}
	if m.inLog {
		m.logBack = max(0, min(m.logBack-by, len(m.log)-m.logHeight()))
		return nil
	}
	m.at = max(0, min(m.at+by, len(m.rows)-1))
	return m.choose()
}

// question asks before the order of a key, for the chosen row or its app.
func (m *model) question(key string) {
	row, ok := m.selected()
	switch {
	case m.ended:
		m.tell(term.Red, "the master has ended: there is nothing to change")
		return
	case !ok:
		m.tell(term.Yellow, "no app is chosen")
		return
	}
	app := row.app
	p := &prompt{order: api.Order{App: app.Name}}
	switch key {
	case "r":
		p.order.Verb = api.VerbReload
		p.text = fmt.Sprintf("reload all workers of %s?", app.Name)
	case "s":
		p.kind, p.order.Verb = promptNumber, api.VerbScale
		p.text = fmt.Sprintf("scale %s from %d workers to (or +N, -N)", app.Name, app.Desired)
	case "S":
		p.order.Verb = api.VerbStop
		p.text = fmt.Sprintf("stop all workers of %s? No worker serves it then.", app.Name)
	case "a":
		p.order.Verb = api.VerbStart
		if slot := row.slot(); slot != nil && row.worker.ID == 0 {
			p.order.Slot = slot
		}
		p.text = fmt.Sprintf("start %s?", term.Whom(p.order))
	case "d":
		p.order.Verb, p.order.Slot = api.VerbDrain, row.slot()
		if p.order.Slot == nil {
			m.tell(term.Yellow, "choose the worker to drain with the arrows")
			return
		}
		p.text = fmt.Sprintf("drain %s? Its slot stays empty until a start.", term.Whom(p.order))
	}
	p.text = m.screen.Harmless(p.text)
	m.prompt = p
}

// answer handles a key while a question is asked.
func (m *model) answer(k tea.KeyPressMsg) tea.Cmd {
	p := m.prompt
	key := k.String()
	switch {
	case key == "esc":
		m.prompt = nil
		if p.kind == promptFilter {
			m.filter = ""
			m.list()
			return m.choose()
		}
		m.tell(term.Plain, "nothing was changed")
	case p.kind == promptYes:
		m.prompt = nil
		if key == "y" || key == "Y" {
			return m.do(p.order)
		}
		m.tell(term.Plain, "nothing was changed")
	case key == "enter":
		m.prompt = nil
		if p.kind == promptNumber {
			return m.scale(p)
		}
	case key == "backspace" || key == "ctrl+u":
		_, n := utf8.DecodeLastRuneInString(p.input)
		if p.input = p.input[:len(p.input)-n]; key == "ctrl+u" {
			p.input = ""
		}
		return m.typed(p)
	case k.Text != "" && utf8.RuneCountInString(p.input+k.Text) <= promptSize:
		if p.kind == promptNumber && strings.Trim(k.Text, "0123456789+-") != "" {
			return nil
		}
		p.input += k.Text
		return m.typed(p)
	}
	return nil
}

// typed applies a filter at each character.
func (m *model) typed(p *prompt) tea.Cmd {
	if p.kind != promptFilter {
		return nil
	}
	m.filter = p.input
	m.list()
	return m.choose()
}

func (m *model) scale(p *prompt) tea.Cmd {
	text := p.input
	if text == "" {
		m.tell(term.Plain, "nothing was changed")
		return nil
	}
	n, err := term.WholeNumber(text)
	if err != nil {
		m.tell(term.Red, fmt.Sprintf("%q is not a number of workers", text))
		return nil
	}
	p.order.N, p.order.By = n, strings.ContainsAny(text[:1], "+-")
	if !p.order.By && n == 0 {
		m.prompt = &prompt{text: fmt.Sprintf("scale %s to 0 workers? No worker serves it then.", term.Whom(p.order)), order: p.order}
		return nil
	}
	return m.do(p.order)
}

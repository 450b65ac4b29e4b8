package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	patience    = 3 * time.Second        // the longest wait for a status
	period      = time.Second            // between two requests for the status
	pace        = 100 * time.Millisecond // from the first item of a stream to the redraw
	settle      = 150 * time.Millisecond // from choosing a row to asking for its log: more keys may follow
	retry       = 2 * time.Second        // from the end of a stream to asking again
	notePeriods = 10                     // periods that a note stays without a key
	keptLines   = 500                    // lines of the log that are kept
	keptBytes   = 4096                   // bytes of a line that are kept
)

// model is the state of the live view. Only Update changes it. What it asks the master runs in commands and comes back as
// messages, so that a slow master never stops the keys.
type model struct {
	ctx    context.Context // ends with the view
	master Master
	pick   func(api.Status) []api.App // the apps whose rows are shown
	screen term.Screen                // for colours and Harmless; its size is not used
	after  func(time.Duration, tea.Msg) tea.Cmd
	pace   time.Duration
	feeds  sync.WaitGroup // the goroutines of streams and orders

	width, height int
	help          bool
	inLog         bool // the arrows scroll the log
	prompt        *prompt
	filter        string

	status api.Status
	apps   []api.App // those of the status that are shown
	rates  rates

	gateways gateways

	asking  bool
	silent  int    // periods since the last answer
	problem string // why there was none
	ended   bool   // the master has ended: nothing is asked any more

	rows []row
	at   int // the chosen row
	top  int // the first row on the screen

	logOf   row
	logGen  int // counts the logs: messages of an older one are ignored
	logStop context.CancelFunc
	logFrom uint64 // id of the newest line
	log     []string
	logBack int // lines between the end of the log and the bottom of its window

	event   api.Event
	eventID uint64 // of the newest event

	orders  []*underWay // under way, the oldest first
	lastID  int
	note    term.Cell
	noteAge int
}

// underWay is an order that is under way.
type underWay struct {
	id    int
	title string // such as "reload of web"
	step  string // how far it is
}

// Messages.
type (
	tickMsg   struct{}
	statusMsg struct {
		status api.Status
		err    error
	}
	logDueMsg    struct{ gen int }
	logMsg       = streamMsg[api.LogLine] // id: which log
	eventsDueMsg struct{}
	eventsMsg    = streamMsg[api.Event]
	stepsMsg     = streamMsg[api.Progress] // id: of the order
)

func newModel(ctx context.Context, of Master, pick func(api.Status) []api.App, colours bool) *model {
	return &model{
		ctx: ctx, master: of, pick: pick, pace: pace, width: 80, height: 24,
		screen: term.Screen{Terminal: true, Colours: colours},
		after: func(d time.Duration, msg tea.Msg) tea.Cmd {
			return tea.Tick(d, func(time.Time) tea.Msg { return msg })
		},
	}
}

// Init starts the requests and the streams.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.ask(), m.after(period, tickMsg{}), m.followEvents(), m.choose())
}

// Update handles one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tickMsg:
		return m, m.tick()
	case statusMsg:
		return m, m.answered(msg)
	case gatewaysMsg:
		m.heardGateways(msg)
	case logDueMsg:
		if msg.gen == m.logGen && !m.ended {
			return m, m.followLog()
		}
	case logMsg:
		return m, m.logged(msg)
	case eventsDueMsg:
		return m, m.followEvents()
	case eventsMsg:
		return m, m.happened(msg)
	case stepsMsg:
		return m, m.stepped(msg)
	}
	return m, nil
}

// tick asks for the status each period, unless the last answer is still missing.
func (m *model) tick() tea.Cmd {
	if m.noteAge++; m.noteAge > notePeriods {
		m.note = term.Cell{}
	}
	if m.ended {
		return m.after(period, tickMsg{})
	}
	m.silent++
	return tea.Batch(m.ask(), m.after(period, tickMsg{}))
}

func (m *model) ask() tea.Cmd {
	if m.asking {
		return nil
	}
	m.asking = true
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, patience)
		defer cancel()
		st, err := m.master.Status(ctx)
		return statusMsg{st, err}
	}
}

func (m *model) answered(msg statusMsg) tea.Cmd {
	m.asking = false
	switch {
	case errors.Is(msg.err, control.ErrNotRunning):
		m.ended, m.prompt = true, nil
		return nil
	case errors.Is(msg.err, context.DeadlineExceeded):
		m.problem = "it is busy or hangs"
		return nil
	case msg.err != nil:
		m.problem = flat(msg.err.Error())
		return nil
	}
	m.silent, m.problem = 0, ""
	m.keep(msg.status)
	return tea.Batch(m.askGateways(), m.choose())
}

// keep makes st the status that is shown.
func (m *model) keep(st api.Status) {
	if st.PID != m.status.PID { // another master has taken over, whose ids start again
		m.eventID, m.logFrom = 0, 0
	}
	m.status = st
	m.rates.add(st)
	m.apps = m.pick(st)
	m.list()
}

// list makes the rows anew. The chosen row stays chosen.
func (m *model) list() {
	was, had := m.selected()
	m.rows = rowsOf(m.apps, m.filter)
	if had {
		m.at = restore(m.rows, was, m.at)
	}
	m.at = max(0, min(m.at, len(m.rows)-1))
}

func (m *model) selected() (row, bool) {
	if m.at >= len(m.rows) {
		return row{}, false
	}
	return m.rows[m.at], true
}

// choose follows the log of the chosen row, unless it does already.
func (m *model) choose() tea.Cmd {
	row, ok := m.selected()
	if !ok || m.logGen > 0 && row.key() == m.logOf.key() {
		return nil
	}
	if m.logStop != nil {
		m.logStop()
	}
	m.logOf, m.log, m.logBack, m.logFrom = row, nil, 0, 0
	m.logGen++
	return m.after(settle, logDueMsg{m.logGen})
}

func (m *model) followLog() tea.Cmd {
	ctx, stop := context.WithCancel(m.ctx)
	m.logStop = stop
	f := newFeed[api.LogLine](keptLines, m.pace)
	q := api.LogQuery{App: m.logOf.app.Name, Slot: m.logOf.slot(), Last: keptLines, Follow: true, After: m.logFrom}
	m.feeds.Go(func() {
		f.end(m.master.Logs(ctx, q, func(l api.LogLine) error {
			f.put(l)
			return nil
		}))
	})
	return next(m.ctx, m.logGen, f)
}

func (m *model) logged(msg logMsg) tea.Cmd {
	if msg.id != m.logGen {
		return nil // of a log that is not shown any more
	}
	if msg.lost > 0 {
		m.say(fmt.Sprintf("(%d lines came faster than they can be shown)", msg.lost))
	}
	for _, l := range msg.items {
		m.logFrom = max(m.logFrom, l.ID)
		if len(l.Text) > keptBytes {
			l.Text = strings.ToValidUTF8(l.Text[:keptBytes], "")
		}
		m.say(strings.Split(term.LogText(m.screen, l, false), "\n")...)
	}
	if !msg.ended {
		return next(m.ctx, msg.id, msg.feed)
	}
	if msg.err != nil && m.ctx.Err() == nil && !m.ended && !errors.Is(msg.err, control.ErrNotRunning) {
		m.say(m.screen.Paint(term.Yellow, "cannot follow the log: "+flat(msg.err.Error())))
	}
	return m.after(retry, logDueMsg{msg.id})
}

// say adds lines to the log. If the user has scrolled back, the window stays on the same lines.
func (m *model) say(lines ...string) {
	for _, l := range lines {
		m.log = append(m.log, strings.ReplaceAll(l, "\t", "    "))
		if m.logBack > 0 {
			m.logBack++
		}
	}
	if more := len(m.log) - keptLines; more > 0 {
		m.log = append([]string(nil), m.log[more:]...)
	}
}

func (m *model) followEvents() tea.Cmd {
	if m.ended {
		return nil
	}
	f := newFeed[api.Event](64, m.pace)
	after, last := m.eventID, 0
	if after == 0 {
		last = 1
	}
	m.feeds.Go(func() {
		f.end(m.master.EventsLast(m.ctx, after, last, true, func(e api.Event) error {
			f.put(e)
			return nil
		}))
	})
	return next(m.ctx, 0, f)
}

func (m *model) happened(msg eventsMsg) tea.Cmd {
	for _, e := range msg.items {
		m.eventID = max(m.eventID, e.ID)
		if e.Kind != api.EventMissed {
			m.event = e
		}
	}
	if msg.ended {
		return m.after(retry, eventsDueMsg{})
	}
	return next(m.ctx, 0, msg.feed)
}

// do gives an order to the master and shows its steps.
func (m *model) do(o api.Order) tea.Cmd {
	o.Reason = "tine top"
	m.lastID++
	order := &underWay{id: m.lastID, title: o.Verb + " of " + term.Whom(o), step: "begins"}
	m.orders = append(m.orders, order)
	f := newFeed[api.Progress](64, m.pace)
	m.feeds.Go(func() {
		f.end(m.master.Do(m.ctx, o, func(p api.Progress) {
			if !p.Final {
				f.put(p)
			}
		}))
	})
	return next(m.ctx, order.id, f)
}

func (m *model) stepped(msg stepsMsg) tea.Cmd {
	for i, o := range m.orders {
		if o.id != msg.id {
			continue
		}
		for _, p := range msg.items {
			o.step = strings.TrimPrefix(term.Where(p.App, p.Slot)+" "+flat(m.screen.Harmless(term.StepText(p))), "tine ")
			if p.Total > 0 {
				o.step = fmt.Sprintf("%d/%d, %s", min(p.Done, p.Total), p.Total, o.step)
			}
		}
		if !msg.ended {
			return next(m.ctx, msg.id, msg.feed)
		}
		m.orders = append(m.orders[:i:i], m.orders[i+1:]...)
		m.closed(o, msg.err)
		return m.ask()
	}
	return nil
}

// closed shows the result of an order.
func (m *model) closed(o *underWay, err error) {
	if err == nil {
		m.tell(term.Green, o.title+": done")
		return
	}
	m.tell(term.Red, o.title+": "+flat(err.Error()))
	var failed *control.Failed
	if errors.As(err, &failed) && failed.Output != "" {
		for line := range strings.SplitSeq(strings.TrimRight(failed.Output, "\n"), "\n") {
			m.say("  | " + m.screen.Harmless(line))
		}
	}
}

// tell shows a note until the next key.
func (m *model) tell(c term.Colour, text string) {
	m.note, m.noteAge = c.Cell(m.screen.Harmless(text)), 0
}

// flat returns text in one line, without control characters.
func flat(text string) string { return term.OneLine(strings.Join(strings.Fields(text), " ")) }

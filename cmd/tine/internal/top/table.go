package top

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	leastName = 12
	mostName  = 28
	leastBars = 10
)

// column is a column right of the name. Where the terminal is narrow, the column with the highest drop is left out first.
type column struct {
	title string
	width int
	drop  int
}

var columns = []column{
	{"STATE", 11, 0}, {"GEN", 3, 7}, {"RST", 3, 4}, {"BUSY", 4, 3}, {"CONN", 4, 8}, {"REQ/S", 6, 0},
	{"ERR/S", 5, 2}, {"P50", 5, 6}, {"P99", 5, 1}, {"CPU", 5, 5}, {"MEM", 5, 5},
}

// columns returns which columns there is room for, and the width of the name and of the sparkline; 0: no sparkline.
func (m *model) columns() (shown []bool, name, spark int) {
	shown = make([]bool, len(columns))
	room := m.width - 1
	for i, c := range columns {
		shown[i] = true
		room -= c.width + 1
	}
	for room < leastName {
		last := -1
		for i, c := range columns {
			if shown[i] && c.drop > 0 && (last < 0 || c.drop > columns[last].drop) {
				last = i
			}
		}
		if last < 0 {
			break
		}
		shown[last] = false
		room += columns[last].width + 1
	}
	name = max(4, min(room, leastName))
	for _, r := range m.rows {
		name = max(name, min(ansi.StringWidth(rowName(r)), room, mostName))
	}
	if spark = room - name - 1; spark < leastBars {
		spark = 0
		name = max(name, min(room, mostName))
	}
	return shown, name, min(spark, minute)
}

func rowName(r row) string {
	switch {
	case r.worker == nil:
		return r.app.Name
	case r.worker.Slot < 0:
		return fmt.Sprintf("  + %d", r.worker.PID)
	case r.worker.PID == 0:
		return fmt.Sprintf("  %d -", r.worker.Slot)
	}
	return fmt.Sprintf("  %d %d", r.worker.Slot, r.worker.PID)
}

// table returns the titles and as many rows as there is room for. The chosen one is among them.
func (m *model) table() []string {
	height := m.listHeight()
	if m.help {
		lines := append([]string{m.screen.Paint(term.Bold, "Keys")}, strings.Split(helpText, "\n")...)
		for len(lines) < height+1 {
			lines = append(lines, "")
		}
		return lines[:height+1]
	}
	if m.gateways.shown {
		return m.members(height)
	}
	shown, name, spark := m.columns()
	titles := " " + pad("APP SLOT PID", name, false)
	for i, c := range columns {
		if shown[i] {
			titles += " " + pad(c.title, c.width, i > 0)
		}
	}
	if spark > 0 {
		titles += " " + pad("REQ/S, LAST MINUTE", spark, false)
	}
	lines := []string{m.screen.Paint(term.Bold, titles)}
	m.top = max(0, min(m.top, m.at, len(m.rows)-height))
	m.top = max(m.top, m.at-height+1)
	for i := m.top; i < min(len(m.rows), m.top+height); i++ {
		lines = append(lines, m.row(m.rows[i], i == m.at, shown, name, spark))
	}
	if len(m.rows) == 0 && height > 0 {
		text := "no app runs here"
		if m.filter != "" {
			text = "nothing has " + m.filter + " in its name, pid or state; esc: show all"
		}
		lines = append(lines, " "+text)
	}
	return lines
}

func (m *model) row(r row, chosen bool, shown []bool, name, spark int) string {
	rate := m.rates.get(r.key())
	var state term.Cell
	var s sums
	generation := r.app.Generation
	if r.worker == nil {
		state, s = appState(r.app), sumsOf(r.app)
	} else {
		w := r.worker
		state, generation = workerState(*w), w.Generation
		s = sums{w.Restarts, w.InFlight, w.Connections, w.CPUPercent, w.RSSBytes, w.P50MS, w.P99MS}
	}
	failed := term.Plain.Cell(speed(rate.failed))
	if rate.failed > 0 {
		failed.Colour = term.Red
	}
	cells := []term.Cell{
		state, term.Plain.Cell(fmt.Sprint(generation)), term.Plain.Cell(fmt.Sprint(s.restarts)), term.Plain.Cell(fmt.Sprint(s.busy)), term.Plain.Cell(fmt.Sprint(s.connections)),
		term.Plain.Cell(speed(rate.perSecond)), failed, term.Plain.Cell(shortMS(s.p50)), term.Plain.Cell(shortMS(s.p99)), term.Plain.Cell(fmt.Sprintf("%.0f%%", s.cpu)), term.Plain.Cell(term.Memory(s.rss)),
	}
	paint := m.screen.Paint
	mark := " "
	if chosen {
		mark = ">"
		paint = func(_ term.Colour, text string) string { return text } // the whole line is reversed
	}
	style := term.Plain
	if r.worker == nil {
		style = term.Bold
	}
	line := mark + paint(style, pad(m.screen.Harmless(rowName(r)), name, false))
	for i, c := range columns {
		if shown[i] {
			line += " " + paint(cells[i].Colour, pad(cells[i].Text, c.width, i > 0))
		}
	}
	if g, ok := m.gateways.by[r.app.Name]; ok && r.worker == nil && spark > 0 {
		cell := gatewayCell(g)
		line += " " + paint(cell.Colour, pad(cell.Text, spark, false))
	} else if spark > 0 {
		line += " " + paint(term.Plain, sparkline(rate.history, spark))
	}
	if chosen {
		line = m.screen.Paint(reverse, pad(line, m.width, false))
	}
	return line
}

// pad makes text width columns wide, aligned at the left or at the right.
func pad(text string, width int, right bool) string {
	text = ansi.Truncate(text, width, "…")
	fill := strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
	if right {
		return fill + text
	}
	return text + fill
}

func appState(a api.App) term.Cell {
	switch {
	case a.Rollout != nil && a.Rollout.State == api.RolloutRunning:
		return term.Yellow.Cell(fmt.Sprintf("roll %d/%d", a.Rollout.Done, a.Rollout.Total))
	case a.State != api.AppRunning:
		return term.AppState(a)
	case a.Ready < a.Desired:
		return term.Yellow.Cell(fmt.Sprintf("%d/%d ready", a.Ready, a.Desired))
	}
	return term.Green.Cell(fmt.Sprintf("%d/%d ready", a.Ready, a.Desired))
}

func workerState(w api.Worker) term.Cell {
	switch {
	case w.Stalled != "":
		return term.Red.Cell("stalled")
	case w.State == "ready":
		return term.Plain.Cell(w.State)
	case w.State == "backoff", w.State == "killing":
		return term.Red.Cell(w.State)
	}
	return term.Yellow.Cell(w.State)
}

package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// reverse is for the chosen row, which has a > too: not all terminals have colours.
const reverse term.Colour = "7"

const keysText = "tab log  r reload  s scale  d drain  S stop  a start  / filter  ? help  q quit"

const helpText = `up down j k      choose an app or a worker (page up, page down, g, G too)
tab              the arrows scroll the log; tab or esc: back to the list
/                show only what has this in its name, pid or state; esc: all
r                reload the app: new workers one at a time, no request lost
s                scale the app: to a number of workers, or by +N or -N
d                drain the chosen worker: its slot stays empty until a start
a                start what is stopped or drained
S                stop all workers of the app, which stays listed
m                the members of the gateway, and why each is picked; m, esc: back
q ctrl+c         quit; an order that is under way goes on

+ is a standby. RST restarts, BUSY requests in flight, CONN connections. P50 and
P99 are milliseconds, of about the last minute; of an app, its slowest worker's.
CPU is of one CPU. REQ/S and ERR/S (500 and above) are of the last second.`

// fixedLines is the number of lines that are always there: two of the head, the titles, the head of the log, the event and
// the foot.
const fixedLines = 6

// View draws the whole screen: at most as many lines as the terminal has, none wider than it.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

func (m *model) lines() []string {
	lines := append(m.head(), m.table()...)
	lines = append(lines, m.logHead())
	lines = append(lines, m.logWindow()...)
	lines = append(lines, m.eventLine(), m.foot())
	if over := len(lines) - m.height; over > 0 { // a tiny screen: the foot stays, as it has the question
		lines = append(lines[:max(0, m.height-1)], lines[len(lines)-1])
		lines = lines[:max(0, min(m.height, len(lines)))]
	}
	if m.height < 1 {
		return nil
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(ansi.Truncate(l, m.width, "…"), " ")
	}
	return lines
}

func (m *model) head() []string {
	st := m.status
	first := m.screen.Paint(term.Bold, "tine "+m.screen.Harmless(st.Name)) +
		fmt.Sprintf("  pid %d  up %s  steering %s  cache epoch %d  %s", st.PID, term.Seconds(st.UptimeS), term.Dash(st.Steering), st.Cache.Epoch, st.Version)
	return []string{first, m.second()}
}

// second returns the second line: what is wrong, else the sums of all apps.
func (m *model) second() string {
	switch {
	case m.ended:
		return m.screen.Paint(term.Red, "THE MASTER HAS ENDED. This is the last picture; q quits.")
	case m.silent > 1:
		text := fmt.Sprintf("no answer of the master for %ds", m.silent)
		if m.problem != "" {
			text += ": " + m.problem
		}
		return m.screen.Paint(term.Yellow, text)
	}
	var ready, desired int
	var all sums
	var perSecond, failed float64
	for _, a := range m.apps {
		s := sumsOf(a)
		ready, desired = ready+a.Ready, desired+a.Desired
		all.cpu, all.rss = all.cpu+s.cpu, all.rss+s.rss
		r := m.rates.get(slotKey{a.Name, wholeApp})
		perSecond, failed = perSecond+r.perSecond, failed+r.failed
	}
	text := fmt.Sprintf("%s, %d/%d workers ready  %s req/s  %s err/s  CPU %.0f%%  memory %s",
		term.Count(len(m.apps), "app"), ready, desired, speed(perSecond), speed(failed), all.cpu, term.Memory(all.rss))
	if m.filter != "" {
		text += "  filter: " + m.filter
	}
	return text
}

// speed returns a number a second in few characters.
func speed(v float64) string {
	switch {
	case v <= 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return term.Number(uint64(v + 0.5))
}

// shortMS returns a number of milliseconds without the unit.
func shortMS(ms float64) string {
	switch {
	case ms <= 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1f", ms)
	case ms < 100_000:
		return fmt.Sprintf("%.0f", ms)
	}
	return term.Seconds(ms / 1000)
}

// room is how many lines the list and the log share.
func (m *model) room() int { return max(0, m.height-fixedLines) }

func (m *model) listHeight() int {
	room := m.room()
	if m.help || m.gateways.shown {
		return room
	}
	least := room / 3 // for the log
	if m.inLog {
		least = room * 2 / 3
	}
	return min(max(1, len(m.rows)), room-least)
}

func (m *model) logHeight() int { return m.room() - m.listHeight() }

// logHead returns the line between the list and the log: the chosen row, and what the list does not show of it.
func (m *model) logHead() string {
	row, ok := m.selected()
	if !ok {
		return ""
	}
	rate := m.rates.get(row.key())
	largest := 0.0
	for _, v := range rate.history {
		largest = max(largest, v)
	}
	title := "-- " + m.screen.Harmless(row.name())
	if m.inLog {
		title += " (log"
		if m.logBack > 0 {
			title += fmt.Sprintf(", %d lines back", m.logBack)
		}
		title += ")"
	}
	var facts []string
	if len(rate.history) > 0 {
		width := min(30, len(rate.history))
		facts = append(facts, fmt.Sprintf("req/s %s max %s", sparkline(rate.history, width), speed(largest)))
	}
	if w := row.worker; w != nil {
		if w.Stalled != "" {
			facts = append(facts, "stalled: "+w.Stalled)
		}
		if w.UptimeS > 0 {
			facts = append(facts, "up "+term.Seconds(w.UptimeS))
		}
		if w.OldestMS > 0 {
			facts = append(facts, "oldest request "+term.Milliseconds(w.OldestMS))
		}
		if w.LastExit != "" {
			facts = append(facts, "last exit: "+w.LastExit)
		}
	} else {
		a := row.app
		if g, ok := m.gateways.by[a.Name]; ok {
			facts = append(facts, term.GatewayText(g))
		}
		if why := a.Error; why != "" {
			facts = append(facts, flat(why))
		} else if a.Rollout != nil && a.Rollout.Error != "" {
			facts = append(facts, flat(a.Rollout.Error))
		}
		if len(a.Listen) > 0 {
			facts = append(facts, strings.Join(a.Listen, " "))
		}
		if term.Steered(a) {
			facts = append(facts, strings.TrimSpace(a.Steering+" "+a.Policy))
		}
	}
	text := title + " -- " + m.screen.Harmless(strings.Join(facts, " -- ")) + " "
	fill := max(0, m.width-ansi.StringWidth(text))
	return m.screen.Paint(term.Bold, text+strings.Repeat("-", fill))
}

// logWindow returns the lines of the log that there is room for.
func (m *model) logWindow() []string {
	height := m.logHeight()
	end := max(0, len(m.log)-max(0, min(m.logBack, len(m.log)-height)))
	lines := append([]string(nil), m.log[max(0, end-height):end]...)
	if len(lines) == 0 && height > 0 {
		lines = append(lines, m.screen.Paint(term.Dim, "(nothing written yet)"))
	}
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "…")
		if m.screen.Colours {
			lines[i] += "\x1b[0m" // a worker's colour ends with its line
		}
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

func (m *model) eventLine() string {
	if m.event.ID == 0 {
		return ""
	}
	first, _, _ := strings.Cut(term.EventText(m.screen, m.event), "\n")
	return first
}

// foot returns the last line: the question, else a note, else the newest order, else the keys.
func (m *model) foot() string {
	switch {
	case m.prompt != nil && m.prompt.kind == promptYes:
		return m.screen.Paint(term.Yellow, m.prompt.text+" y/N ")
	case m.prompt != nil:
		text := m.prompt.text + ": " + m.prompt.input + "_"
		if more := ansi.StringWidth(text) - m.width; more > 0 { // cut at the left: what is typed stays visible
			return m.screen.Paint(term.Yellow, ansi.TruncateLeft(text, more+1, "…"))
		}
		return m.screen.Paint(term.Yellow, text) + m.screen.Paint(term.Dim, " (enter: do it, esc: not)")
	case m.note.Text != "":
		return m.screen.Paint(m.note.Colour, m.note.Text)
	case len(m.orders) > 0:
		o := m.orders[len(m.orders)-1]
		text := o.title + ": " + o.step
		if more := len(m.orders) - 1; more > 0 {
			text += fmt.Sprintf(" (and %s more under way)", term.Count(more, "order"))
		}
		return m.screen.Paint(term.Yellow, text)
	}
	return m.screen.Paint(term.Dim, m.keysLine())
}

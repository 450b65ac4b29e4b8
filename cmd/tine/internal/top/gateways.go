package top

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// gateways is what the master has told of its gateways last, and the view of the members of one.
type gateways struct {
	by     map[string]api.Gateway // by app
	asking bool
	shown  bool // the members take the place of the list
	top    int  // the first of them on the screen
}

// gatewaysMsg is an answer of the master. Where it fails, what was known stays: the status says whether the master answers.
type gatewaysMsg struct {
	all api.Gateways
	err error
}

// askGateways asks for them, if the status has a table of members, and the last answer is there.
func (m *model) askGateways() tea.Cmd {
	if m.gateways.asking || !slices.ContainsFunc(m.status.Cache.Values, func(v api.CacheValue) bool { return v.Source == "members" }) {
		return nil
	}
	m.gateways.asking = true
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, patience)
		defer cancel()
		all, err := m.master.Gateways(ctx, "")
		return gatewaysMsg{all, err}
	}
}

func (m *model) heardGateways(msg gatewaysMsg) {
	m.gateways.asking = false
	if msg.err != nil {
		return
	}
	m.gateways.by = map[string]api.Gateway{}
	for _, g := range msg.all.Gateways {
		m.gateways.by[g.App] = g
	}
}

// gateway is the one whose members are shown: of the chosen row or, where that is none, the first.
func (m *model) gateway() (g api.Gateway, ok bool) {
	if row, chosen := m.selected(); chosen {
		if g, ok = m.gateways.by[row.app.Name]; ok {
			return g, true
		}
	}
	for _, a := range m.apps {
		if g, ok = m.gateways.by[a.Name]; ok {
			return g, true
		}
	}
	return g, false
}

// showMembers shows the members of a gateway in place of the list, or the list again.
func (m *model) showMembers() {
	m.gateways.shown, m.gateways.top = !m.gateways.shown, 0
	if _, ok := m.gateway(); m.gateways.shown && !ok {
		m.gateways.shown = false
		m.tell(term.Yellow, "no app is a gateway")
	}
}

// gatewayCell is the short form of a gateway, for its row.
func gatewayCell(g api.Gateway) term.Cell {
	all, queue := g.Tally.Total(), g.Tally.Queued()
	text := fmt.Sprintf("%d/%s  %s/s", all.Ready, term.Count(all.Members, "member"), speed(all.PicksSecond))
	if queue.State != "" {
		text += fmt.Sprintf("  %d waiting", queue.Waiting)
	}
	return term.GatewayColour(g).Cell(text)
}

// memberColumns are those right of the name of a member. What is left is for why.
var memberColumns = []column{{"STATE", 9, 0}, {"BUSY", 7, 3}, {"PICKS/S", 7, 1}, {"FAILED", 6, 4}, {"MS", 6, 2}}

const leastWhy = 24

// members returns the titles and as many members as there is room for.
func (m *model) members(height int) []string {
	g, ok := m.gateway()
	if !ok {
		return append([]string{""}, make([]string, height)...)
	}
	title := "MEMBERS OF " + m.screen.Harmless(g.App)
	name, room := min(max(leastName, ansi.StringWidth(title)), mostName), m.width-2-leastWhy
	for _, one := range g.Tally.Members {
		name = max(name, min(ansi.StringWidth(one.ID), mostName))
	}
	shown := make([]bool, len(memberColumns))
	for drop := 0; drop <= len(memberColumns); drop++ {
		for i, c := range memberColumns {
			if c.drop == drop && room-name >= c.width+1 {
				shown[i] = true
				room -= c.width + 1
			}
		}
	}
	why := max(0, room-name+leastWhy)
	titles := " " + pad(title, name, false)
	for i, c := range memberColumns {
		if shown[i] {
			titles += " " + pad(c.title, c.width, i > 0)
		}
	}
	lines := []string{m.screen.Paint(term.Bold, titles+" WHY")}
	m.gateways.top = max(0, min(m.gateways.top, len(g.Tally.Members)-height))
	for _, one := range g.Tally.Members[m.gateways.top:] {
		if len(lines) > height {
			break
		}
		state, text := term.Green, term.Plain
		if !one.Picked {
			state, text = term.Red, term.Red
		}
		busy, failed, latency := fmt.Sprint(one.InFlight), term.Plain.Cell(term.Number(one.Failed)), shortMS(one.LatencyMS)
		if one.MaxInFlight > 0 {
			busy += fmt.Sprintf("/%d", one.MaxInFlight)
		}
		cells := []term.Cell{state.Cell(string(one.State)), term.Plain.Cell(busy), term.Plain.Cell(speed(one.PicksSecond)), failed, term.Plain.Cell(latency)}
		reason := strings.TrimPrefix(one.Why, string(one.State)+": ")
		line := " " + pad(m.screen.Harmless(flat(one.ID)), name, false)
		for i, c := range memberColumns {
			if shown[i] {
				line += " " + m.screen.Paint(cells[i].Colour, pad(m.screen.Harmless(flat(cells[i].Text)), c.width, i > 0))
			}
		}
		lines = append(lines, line+" "+m.screen.Paint(text, pad(m.screen.Harmless(flat(reason)), why, false)))
	}
	if len(g.Tally.Members) == 0 && height > 0 {
		lines = append(lines, " it has no member")
	}
	for len(lines) <= height {
		lines = append(lines, "")
	}
	return lines
}

// keysLine says what keys do; with a gateway those of its members are among them.
func (m *model) keysLine() string {
	if len(m.gateways.by) == 0 {
		return keysText
	}
	return strings.Replace(keysText, "tab log", "m members", 1)
}

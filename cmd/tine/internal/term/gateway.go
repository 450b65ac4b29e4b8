package term

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/control/api"
)

// GatewayText is what a gateway's workers know together, in one line: members, how one is picked, requests, and those that wait.
func GatewayText(g api.Gateway) string {
	all, queue := g.Tally.Total(), g.Tally.Queued()
	text := fmt.Sprintf("%d of %s ready", all.Ready, Count(all.Members, "member"))
	if g.Workers == 0 {
		return text + ", no worker answers"
	}
	var ways []string
	for _, p := range g.Tally.Pools {
		if !slices.Contains(ways, p.Way) {
			ways = append(ways, p.Way)
		}
	}
	if len(ways) > 0 {
		text += ", picked by " + strings.Join(ways, " and ")
	}
	text += fmt.Sprintf(", %s/s, %d in flight", Rate(all.PicksSecond), all.InFlight)
	if queue.State != "" {
		text += fmt.Sprintf(", %d waiting", queue.Waiting)
		if queue.State != "calm" {
			text += " (" + queue.State + ")"
		}
		if shed := queue.Shed(); shed > 0 {
			text += fmt.Sprintf(", %s shed", Number(shed))
		}
	}
	return OneLine(text)
}

// GatewayColour is red where no member can be picked, and yellow where some cannot or requests are kept waiting.
func GatewayColour(g api.Gateway) Colour {
	queue := g.Tally.Queued()
	switch {
	case g.Tally.Ready == 0 || g.Workers == 0:
		return Red
	case g.Tally.Ready < g.Tally.Listed || queue.State != "" && queue.State != "calm":
		return Yellow
	}
	return Plain
}

// Rate is a number a second, short enough for a column.
func Rate(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return Number(uint64(v + 0.5))
}

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Formula compiles the formula of a gateway's score, which may use the statistics own beside Tine's, and says what is likely to be wrong
// with it. What compiles formulas belongs to the workers of gateways, which nothing here imports: a program that has gateways sets
// this before it reads a config, and never after. nil: a config with a formula is refused.
var Formula func(s policy.Score, own []members.Stat) (warnings []string, err error)

// score says what is wrong with the names of statistics in the score of g, and with its formula.
func (c *checker) score(path string, g *Gateway) {
	p := g.Policy("")
	own, all := p.OwnStatistics()
	known := slices.Concat(members.Stats, own)
	for stat := range g.Score.Multipliers {
		if all && !slices.Contains(known, stat) {
			c.fail(Join(Join(path, "multipliers"), string(stat)), "no member is asked for it: %s", nearest(stat, known))
		}
	}
	if g.Score.Formula == "" {
		return
	}
	if _, err := g.formula(); err != nil {
		c.fail(Join(path, "formula"), "%v", err)
	}
}

// nearest says which of the known statistics may be meant.
func nearest(stat members.Stat, known []members.Stat) string {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	slices.Sort(words)
	if near := api.Nearest(string(stat), words); near != "" {
		return "did you mean " + near + "?"
	}
	return "there are " + strings.Join(slices.Compact(words), ", ")
}

// formula compiles the formula of g, which has one.
func (g *Gateway) formula() (warnings []string, err error) {
	if Formula == nil {
		return nil, errors.New("this program has no formulas: write score: {multipliers: ...}")
	}
	p := g.Policy("")
	own, _ := p.OwnStatistics()
	return Formula(g.Score, own)
}

// doubts are what is likely to be wrong with how g scores members, one a line.
func (g *Gateway) doubts() (all []string) {
	if g.Score.Formula != "" {
		warnings, err := g.formula()
		if err == nil {
			return warnings
		}
		return nil
	}
	some := false
	for _, stat := range slices.Sorted(maps.Keys(g.Score.Multipliers)) {
		some = some || g.Score.Multipliers[stat] != 0
		if near := nearest(stat, members.Stats); !slices.Contains(members.Stats, stat) && strings.HasSuffix(near, "?") {
			all = append(all, fmt.Sprintf("%s is not one of Tine's statistics: %s", stat, near))
		}
	}
	if g.Pick == policy.ByScore && !some {
		all = append(all, "no multiplier is above 0: all members are as good, and requests are spread by their number")
	}
	return all
}

package policy

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// Score is what ByScore adds up for each member. See gate.Score.
type Score struct {
	// Multipliers by statistic. 0 and absent are the same: it does not count, also where a member lacks it.
	Multipliers map[members.Stat]float64 `json:"multipliers,omitempty"`
	Raw         bool                     `json:"raw,omitempty"` // the statistics are added as they are
	// Formula computes the score in place of Multipliers: see package worker/gate/formula, which checks it. "": there is none.
	Formula     string `json:"formula,omitempty"`
	HighestWins bool   `json:"highest_wins,omitempty"` // of Formula; else the lowest number is the best
}

// IsZero reports whether s says nothing.
func (s Score) IsZero() bool {
	return len(s.Multipliers) == 0 && !s.Raw && s.Formula == "" && !s.HighestWins
}

// The modes of Evaluate.
const (
	OnRequest  = "on-request" // the default
	Continuous = "continuous"
)

// Modes are all of them.
var Modes = []string{OnRequest, Continuous}

// Evaluate has the workers of a gateway ask the members for their statistics. See package worker/gate/evaluate.
type Evaluate struct {
	Mode string `json:"mode,omitempty"` // "": OnRequest
	members.Question
	// RequestTimeout is the time in which a member must have answered; 0: 1 s. ValidTimeout is how long a result counts on request, where
	// 0 is for the requests that wait for it alone; of Continuous it is the interval; 0: 1 s.
	RequestTimeout time.Duration `json:"request_timeout,omitempty"`
	ValidTimeout   time.Duration `json:"valid_timeout,omitempty"`
}

// The bounds of the times of Evaluate.
const (
	MinEvaluate = 10 * time.Millisecond
	MaxEvaluate = time.Hour
)

// OwnStatistics are the statistics beside Tine's that the workers ask for. all: these and Tine's are all that members can have; else the
// master, or whole reports, may bring others.
func (p *Policy) OwnStatistics() (own []members.Stat, all bool) {
	if p.Evaluate == nil || len(p.Evaluate.Stats) == 0 {
		return nil, false
	}
	return slices.Sorted(maps.Keys(p.Evaluate.Stats)), true
}

func (p *Policy) checkScore(fail func(field, format string, args ...any)) {
	s := p.Score
	if !s.IsZero() && p.Pick != ByScore && !slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Pick == ByScore }) {
		fail("score", "it is for pick: %s", ByScore)
	}
	if s.Formula != "" && (len(s.Multipliers) > 0 || s.Raw) {
		fail("score.formula", "it takes the place of multipliers and raw: write either")
	}
	if s.HighestWins && s.Formula == "" {
		fail("score.best", "it is for a formula: of multipliers the lowest sum is the best")
	}
	for stat, m := range s.Multipliers {
		if math.IsNaN(m) || math.IsInf(m, 0) || m < 0 && !s.Raw {
			fail("score.multipliers."+string(stat), "%v is out of range: write 0 or more; with raw: true it may be less", m)
		}
	}
	e := p.Evaluate
	if e == nil {
		return
	}
	if e.Mode != "" && !slices.Contains(Modes, e.Mode) {
		fail("evaluate.mode", "%q is not known: write one of %s", e.Mode, strings.Join(Modes, ", "))
	}
	if err := e.Question.Check(); err != nil {
		fail("evaluate", "%v", err)
	}
	for field, d := range map[string]time.Duration{"request_timeout": e.RequestTimeout, "valid_timeout": e.ValidTimeout} {
		if d != 0 && (d < MinEvaluate || d > MaxEvaluate) {
			fail("evaluate."+field, "%s is out of range: write %s to %s", d, MinEvaluate, MaxEvaluate)
		}
	}
}

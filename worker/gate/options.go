package gate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tickets"
)

// The ways of choosing.
const (
	RoundRobin = policy.RoundRobin
	WeightedRR = policy.WeightedRR
	Random     = policy.Random
	First      = policy.First
	Least      = policy.Least
	P2C        = policy.P2C
	ByScore    = policy.ByScore
	Prequal    = policy.Prequal
	PeakEWMA   = policy.PeakEWMA
	CRC32Mod   = policy.CRC32Mod
	Rendezvous = policy.Rendezvous
	Maglev     = policy.Maglev
)

// Ways are the names of all of them.
var Ways = policy.Ways

// ByKey reports whether a way chooses by the key of a request.
func ByKey(way string) bool { return policy.ByKey(way) }

// Options say how a Picker chooses.
type Options struct {
	Way string // one of Ways; "": Prequal

	Score Score // of ByScore

	// Hot is the quantile of requests in flight above which Prequal takes a member for hot: above 0, at most 1. 0: 0.84.
	Hot float64

	// Signed has CRC32Mod compute as Pomelo's crc 0.2 does: over the low bytes of UTF-16, to a signed number, of which it takes the
	// absolute value. Else it is that of Pinus' crc 4.3: over UTF-8, unsigned.
	Signed bool

	// Bounded bounds, for ways by key, a member's requests in flight to so many times its share of all: more than 1. A key whose
	// member is at the bound goes to its next one. 0: there is no bound.
	Bounded float64

	// Stays, unless it is "", is the statistic of reports that counts those who stay at a member for long, as users of a connection do. A
	// member's load is then that of its newest report with what was sent and is in flight, whose Pick is held until a report shows it;
	// and its max_in_flight bounds both together. A member that does not report it is unknown: it is not preferred.
	Stays members.Stat

	// Counters has the counter of a member, by its ID, for as long as the member is in the tables. nil: the picker's own.
	Counters func(id string) *Counter

	// Local has the slot of a member that is a worker of this host, for as long as Owner is this gateway's worker in its book of tickets:
	// its requests get tickets, and its counter does not count. It returns nil for all other members, and for one whose book is not there
	// yet. It is called by the goroutine that gives the tables, with each of them and at each Refresh. nil: no member is local.
	Local func(*members.Member) *tickets.Slot
	Owner tickets.Owner

	// Released is told of each place that is given up, and when it was taken, in nanoseconds of ipc.Monotonic. It is called by all that
	// pick, at the same time. nil: nothing is told.
	Released func(since int64)

	// Elsewhere tells of places that other processes give up: it calls its function at once, and whenever there may be one, until its context
	// ends. The picker does not call it: it is for who waits. nil: nobody tells.
	Elsewhere func(ctx context.Context, freed func())

	// Rand draws 64 random bits. It is called by all that pick, at the same time. nil: math/rand/v2's.
	Rand func() uint64
}

// Score says what ByScore adds up for each member. The lowest sum is the best.
type Score struct {
	// Multipliers by statistic: how much each counts. 0 or absent: not at all, also where a member lacks the statistic.
	Multipliers map[members.Stat]float64

	// Raw adds multiplier x statistic as reported. Else each statistic is first brought to 0 for the best member to 1 for the
	// worst, with free memory and idle CPU turned round, so that units do not matter.
	Raw bool

	// Formula, if it is set, computes the sum instead; Multipliers and Raw do not count. It is called when a table comes, with the
	// statistics of one member, which it must not keep. false: they do not suffice, and the member is unknown.
	Formula func(map[members.Stat]members.Value) (float64, bool)

	// HighestWins has the highest value of Formula be the best.
	HighestWins bool
}

const (
	defaultWay = Prequal
	defaultHot = 0.84 // the default of the paper
)

func (o Options) check() error {
	if !slices.Contains(Ways, o.Way) {
		return fmt.Errorf("cannot pick by %q: one of %s is expected", o.Way, strings.Join(Ways, ", "))
	}
	if o.Hot < 0 || o.Hot > 1 || math.IsNaN(o.Hot) {
		return fmt.Errorf("cannot pick by %s: the quantile is %v, and more than 0 to 1 is expected", o.Way, o.Hot)
	}
	if o.Local != nil && o.Owner == 0 {
		return fmt.Errorf("cannot pick among local workers: who owns the tickets is not said")
	}
	if o.Bounded != 0 && !(o.Bounded > 1) {
		return fmt.Errorf("cannot pick by %s: the bound is %v, and more than 1 is expected, or 0 for none", o.Way, o.Bounded)
	}
	if o.Bounded != 0 && !ByKey(o.Way) {
		return fmt.Errorf("cannot pick by %s with a bound of %v: it is for %s, %s and %s", o.Way, o.Bounded, CRC32Mod, Rendezvous, Maglev)
	}
	for stat, m := range o.Score.Multipliers {
		if math.IsNaN(m) || math.IsInf(m, 0) || m < 0 && !o.Score.Raw {
			return fmt.Errorf("cannot pick by %s: the multiplier of %s is %v, and a finite number of 0 or more is expected", o.Way, stat, m)
		}
	}
	return nil
}

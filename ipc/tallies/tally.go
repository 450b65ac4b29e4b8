package tallies

import (
	"encoding/json"
	"fmt"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
)

// Method is the name of the call that a gateway's worker answers with a Tally, as JSON. What it is called with does not count.
const Method = "tine.gate.tally"

// Version is that of the document. A reader takes every version up to its own, and refuses a later one.
const Version = 1

const (
	// MostMembers bounds Tally.Members: the first of the table. The others are summed in Tally.Rest.
	MostMembers = 1000
	// MostPools bounds Tally.Pools.
	MostPools = 100
	// MostText bounds a text in bytes: an ID, and what is said in words.
	MostText = 1024
)

// Tally is what one worker of a gateway, or all of them together, know of its members, pools and requests.
type Tally struct {
	Version  int      `json:"version"`
	Listed   int      `json:"listed"`   // members in the table
	Ready    int      `json:"ready"`    // of them ready, and of a weight
	Requests Requests `json:"requests"` // that have ended
	Pools    []Pool   `json:"pools"`    // by type
	Members  []Member `json:"members"`  // in the order of the table, up to 1000
	Rest     *Rest    `json:"rest,omitempty"`
}

// Requests are those that have ended, since the gateway's workers were started.
type Requests struct {
	Answered  [5]uint64 `json:"answered"`  // by the first digit of the status that the client got, from 1
	Gone      uint64    `json:"gone"`      // the client got no answer, or not all of it
	Failed    uint64    `json:"failed"`    // they were not answered as they should be, whatever the status
	Tries     uint64    `json:"tries"`     // members that they were sent to, or tried
	Resent    uint64    `json:"resent"`    // tries that were not the first of their request
	Withdrawn uint64    `json:"withdrawn"` // tries that were taken back before they began
}

// Pool is the members of one type, or all, as requests are given to them.
type Pool struct {
	Type    string `json:"type"` // "": all members
	Way     string `json:"way"`  // how a member is picked
	Members int    `json:"members"`
	Ready   int    `json:"ready"`
	Queue   *Queue `json:"queue,omitempty"` // none: no request waits for a place
}

// Queue is the requests that wait for a place in a pool, and what became of those that did.
type Queue struct {
	Waiting   int           `json:"waiting"`
	Bytes     int64         `json:"bytes"`    // that they hold
	State     string        `json:"state"`    // calm, overloaded, held or recovering; of several workers the worst
	Admitted  uint64        `json:"admitted"` // were placed after a wait
	Left      uint64        `json:"left"`     // their clients went
	Full      uint64        `json:"full"`     // shed, as the queue was full
	Timeout   uint64        `json:"timeout"`  // shed, as they had waited for as long as they may
	Deadline  uint64        `json:"deadline"` // shed, as their client's deadline had passed
	NoMember  uint64        `json:"no_member"`
	WaitP50MS float64       `json:"wait_p50_ms"` // of those that were placed
	WaitP99MS float64       `json:"wait_p99_ms"`
	Waits     ipc.Histogram `json:"waits,omitzero"` // of those that were placed, by ipc.Bucket
}

// Shed is how many requests were shed, for whatever reason.
func (q *Queue) Shed() uint64 { return q.Full + q.Timeout + q.Deadline + q.NoMember }

// Member is one member of a gateway's table, as the pickers see it.
type Member struct {
	ID          string        `json:"id"`
	Type        string        `json:"type,omitempty"`
	State       members.State `json:"state"`
	Weight      float64       `json:"weight"`
	MaxInFlight int           `json:"max_in_flight,omitempty"` // none: there is no bound
	Local       bool          `json:"local,omitempty"`         // a worker of this host, of which the requests of all gateways are known
	InFlight    int           `json:"in_flight"`               // requests that this gateway has there; of a local one those of all gateways
	Picks       uint64        `json:"picks"`                   // how often it was picked
	Failed      uint64        `json:"failed"`                  // of them, those that it has refused, or failed in
	PicksSecond float64       `json:"picks_second"`            // over the last 5 to 10 s
	LatencyMS   float64       `json:"latency_ms,omitempty"`    // as the picker sees it; none: it is not known
	ReportAgeMS float64       `json:"report_age_ms,omitempty"` // none: it has no report
	Picked      bool          `json:"picked"`                  // a request may go to it now
	Why         string        `json:"why"`                     // or why not, in words
}

// Rest is the sum of the members that are too many to be told one by one.
type Rest struct {
	Members     int     `json:"members"`
	Ready       int     `json:"ready"`
	InFlight    int     `json:"in_flight"`
	Picks       uint64  `json:"picks"`
	Failed      uint64  `json:"failed"`
	PicksSecond float64 `json:"picks_second"`
}

// Add counts a member as one of the rest.
func (r *Rest) Add(m Member) {
	r.Members++
	if m.State == members.Ready && m.Weight > 0 {
		r.Ready++
	}
	r.InFlight += m.InFlight
	r.Picks += m.Picks
	r.Failed += m.Failed
	r.PicksSecond += m.PicksSecond
}

// Decode reads what a worker has answered, which may be anything, and checks that it is within the bounds.
func Decode(b []byte) (Tally, error) {
	var t Tally
	fail := func(format string, args ...any) (Tally, error) {
		return Tally{}, fmt.Errorf("cannot read what a gateway's worker tells: %w", fmt.Errorf(format, args...))
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return fail("%w", err)
	}
	switch {
	case t.Version < 1 || t.Version > Version:
		return fail("it has version %d, and 1 to %d is expected; upgrade this program", t.Version, Version)
	case len(t.Members) > MostMembers || len(t.Pools) > MostPools:
		return fail("there are %d members and %d pools, and at most %d and %d are expected", len(t.Members), len(t.Pools), MostMembers, MostPools)
	}
	seen := make(map[string]struct{}, len(t.Members))
	for i := range t.Members {
		m := &t.Members[i]
		if _, twice := seen[m.ID]; twice || m.ID == "" || len(m.ID)+len(m.Type)+len(m.State)+len(m.Why) > 4*MostText {
			return fail("member %.40q is there twice, or has no ID, or too long a text", m.ID)
		}
		if !sound(m.PicksSecond) || !sound(m.LatencyMS) || !sound(m.ReportAgeMS) {
			return fail("a number of member %.40q is out of bounds", m.ID)
		}
		seen[m.ID] = struct{}{}
	}
	if t.Rest != nil && !sound(t.Rest.PicksSecond) {
		return fail("%v picks a second are out of bounds", t.Rest.PicksSecond)
	}
	for _, p := range t.Pools {
		if len(p.Type)+len(p.Way) > 2*MostText || p.Queue != nil && len(p.Queue.State) > MostText {
			return fail("pool %.40q has too long a text", p.Type)
		}
	}
	return t, nil
}

// sound reports whether sums of such numbers are finite.
func sound(v float64) bool { return v >= 0 && v <= 1e15 }

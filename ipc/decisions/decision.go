package decisions

import (
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// Method is the name of the call that a gateway's worker answers: a Query gets an Answer, both as JSON. A worker that keeps no history
// has no such method.
const Method = "tine.gate.history"

// Query says which decisions are wanted.
type Query struct {
	ID   string `json:"id,omitempty"` // X-Request-Id; empty: those of all requests
	Last int    `json:"last"`         // at most so many, the newest
}

// Answer is what one worker tells.
type Answer struct {
	Kept      int        `json:"kept"`      // how many requests it remembers at most
	Decisions []Decision `json:"decisions"` // newest first
}

// Decision is how a gateway delivered one request.
type Decision struct {
	ID      string    `json:"id"`      // X-Request-Id
	At      time.Time `json:"at"`      // when the gateway had its head
	Running bool      `json:"running"` // it is not over: the rest is as of its last step

	Way        string      `json:"way"`              // how a member is picked, such as least
	Members    int         `json:"members"`          // in the table, when it was picked last
	Ready      int         `json:"ready"`            // of them ready
	Candidates []Candidate `json:"candidates"`       // as they were then. Of more than 16 members: the one that was picked, and those that it was compared with first
	Chosen     string      `json:"chosen,omitempty"` // the member that was picked; none: none was
	Trial      bool        `json:"trial,omitempty"`  // it was picked to learn of it, and not because it was the best

	QueuedMS float64 `json:"queued_ms"`        // how long the request waited for a member
	Picks    int     `json:"picks"`            // how many members it was sent to
	Tries    []Try   `json:"tries"`            // the first of them, and the last
	Status   int     `json:"status,omitempty"` // that the client got; none: it got none yet, or was gone
	Error    string  `json:"error,omitempty"`  // why it was not answered as it should be
	TookMS   float64 `json:"took_ms"`
}

// Candidate is one member as it was when a member was picked.
type Candidate struct {
	ID          string        `json:"id"`
	State       members.State `json:"state"`
	Picks       bool          `json:"picks"` // it could be picked
	Why         string        `json:"why"`   // or why not, in words
	Weight      float64       `json:"weight"`
	InFlight    int           `json:"in_flight"`               // requests that the gateway had there
	MaxInFlight int           `json:"max_in_flight,omitempty"` // none: there is no bound
	Sent        int64         `json:"sent_since,omitempty"`    // requests that it got since its report
	Score       float64       `json:"score"`                   // where that is what counts: 0 for the best to 1 for the worst
	Cost        float64       `json:"cost"`                    // what the way makes as low as it can; 0 where it goes by something else
	LatencyMS   float64       `json:"latency_ms,omitempty"`    // none: it is not known
	ReportAgeMS float64       `json:"report_age_ms,omitempty"` // of Stats
	Stats       Stats         `json:"stats,omitempty"`         // what it has reported; a statistic that is absent is unknown
}

// Stats are statistics by name.
type Stats = map[members.Stat]members.Value

// Try is one member that a request was sent to.
type Try struct {
	Member  string  `json:"member"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"` // of an outcome other than answered
	TookMS  float64 `json:"took_ms"`
}

// Outcome is how a try ended.
type Outcome string

// The outcomes.
const (
	Sent      Outcome = "sent"      // it has not ended
	Answered  Outcome = "answered"  // as it should
	Failed    Outcome = "failed"    // the member could not answer, or answered that it has failed
	Refused   Outcome = "refused"   // no connection was made
	Told      Outcome = "told"      // the client was told of the member, by a redirect or a lookup
	Cancelled Outcome = "cancelled" // the client has gone, or the request was taken back
)

package members

import (
	"fmt"
	"math"
)

// Report is what a member has said of itself, or what was measured of it.
type Report struct {
	// Epoch is the incarnation of the member, and Sequence counts its reports: a report whose pair is not greater than the last is
	// out of order, and dropped.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// ReceivedAt is when the report came, in nanoseconds of [ipc.Monotonic] of the receiving host.
	ReceivedAt int64 `json:"received_at"`
	// Hold is how long the member has waited before it answered, in nanoseconds: it is no part of the round trip.
	Hold  int64          `json:"hold,omitempty"`
	Stats map[Stat]Value `json:"stats,omitempty"`
}

// Value is one statistic.
type Value = float64

// Stat names a statistic of a report. Names that are not listed here are user-defined.
type Stat string

// The statistics that Tine knows, with their units.
const (
	CPUIdle           Stat = "cpu_idle"           // 0 to 1 of all CPUs that the member may use
	MemoryFree        Stat = "memory_free"        // bytes
	MemoryTotal       Stat = "memory_total"       // bytes
	RTT               Stat = "rtt_ms"             // milliseconds, without Hold
	QueueWait         Stat = "queue_wait_ms"      // milliseconds that a request waits before it begins
	InFlight          Stat = "in_flight"          // requests
	Connections       Stat = "connections"        // established
	Sessions          Stat = "sessions"           // of users that have logged in
	AnonymousSessions Stat = "anonymous_sessions" // of users that have not
	SchedulerSessions Stat = "scheduler_sessions" // of jobs
)

// Stats are all of them.
var Stats = []Stat{CPUIdle, MemoryFree, MemoryTotal, RTT, QueueWait, InFlight, Connections, Sessions, AnonymousSessions, SchedulerSessions}

// HighIsGood reports whether more of a statistic is better. Of one that is user-defined, less is better, as of a load.
func (s Stat) HighIsGood() bool { return s == CPUIdle || s == MemoryFree || s == MemoryTotal }

// After reports whether r came after the report before it, by the sender's own count. A later incarnation comes after all of an
// earlier one. before may be nil.
func (r *Report) After(before *Report) bool {
	if before == nil || r.Epoch != before.Epoch {
		return before == nil || r.Epoch > before.Epoch
	}
	return r.Sequence > before.Sequence
}

func (r *Report) check(id string) error {
	if r == nil {
		return nil
	}
	for name, v := range r.Stats {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("member %q reports %s as %v: a finite number is expected", id, name, v)
		}
	}
	return nil
}

package history

import (
	"time"

	"github.com/tinehq/tine/ipc/decisions"
)

// told is the record as it is told, at now.
func (r *record) told(now int64) decisions.Decision {
	d := decisions.Decision{
		ID: r.id, At: r.at, Running: r.ended == 0,
		Way: r.seen.Way, Members: r.seen.Members, Ready: r.seen.Ready, Trial: r.seen.Trial, Candidates: []decisions.Candidate{},
		QueuedMS: milliseconds(r.queued), Picks: r.picks, Tries: []decisions.Try{}, Status: r.status, Error: r.err, TookMS: milliseconds(r.until(r.ended, now) - r.began),
	}
	for i := range r.seen.Candidates[:r.seen.N] {
		c := &r.seen.Candidates[i]
		told := decisions.Candidate{
			ID: c.ID, State: c.State, Weight: c.Weight, InFlight: int(c.InFlight), MaxInFlight: int(c.MaxInFlight), Sent: c.Sent,
			Score: c.Score, Cost: c.Cost, LatencyMS: milliseconds(int64(c.Latency)),
		}
		told.Picks, told.Why = c.Reason()
		if c.Report != nil {
			told.Stats, told.ReportAgeMS = c.Report.Stats, milliseconds(r.seen.At-c.Report.ReceivedAt)
		}
		if i == r.seen.Chosen {
			d.Chosen = c.ID
		}
		d.Candidates = append(d.Candidates, told)
	}
	for _, t := range r.tries[:min(r.picks, keptTries)] {
		d.Tries = append(d.Tries, decisions.Try{Member: t.member, Outcome: t.outcome, Why: t.why, TookMS: milliseconds(r.until(t.ended, now) - t.began)})
	}
	return d
}

// until is end, or, of what has not ended, the end of the request, or now.
func (r *record) until(end, now int64) int64 {
	switch {
	case end != 0:
		return end
	case r.ended != 0:
		return r.ended
	}
	return now
}

func milliseconds(ns int64) float64 { return float64(max(ns, 0)) / float64(time.Millisecond) }

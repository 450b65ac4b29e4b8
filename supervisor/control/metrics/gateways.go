package metrics

import (
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
)

// rest is the label of the members that have no series of their own: a gateway may have many. See tallies.MostMembers.
const rest = "other"

// gateways adds what the workers of gateways tell. The counts go on when a worker ends.
func (b builder) gateways(all api.Gateways) {
	silent := map[string]int{}
	for _, w := range all.Silent {
		silent[w.App]++
	}
	for i := range all.Gateways {
		g := &all.Gateways[i]
		name := pair{"gateway", g.App}
		b.gauge("tine_gateway_workers", "Workers of a gateway that were asked at this scrape, by whether they answered.", float64(g.Workers), name, pair{"result", "answered"})
		b.gauge("tine_gateway_workers", "", float64(silent[g.App]), name, pair{"result", "silent"})
		b.requests(&g.Tally.Requests, name)
		for j := range g.Tally.Pools {
			if p := &g.Tally.Pools[j]; p.Queue != nil {
				b.queue(p.Queue, name, pair{"type", p.Type})
			}
		}
		b.members(&g.Tally, name)
	}
}

func (b builder) requests(r *tallies.Requests, name pair) {
	for i, n := range r.Answered {
		b.counter("tine_gateway_requests_total", "Requests that have ended, by the class of the answer that the client got; gone: it got none.", n, name, pair{"class", classes[i]})
	}
	b.counter("tine_gateway_requests_total", "", r.Gone, name, pair{"class", "gone"})
	b.counter("tine_gateway_failed_requests_total", "Requests that were not answered as they should be.", r.Failed, name)
	b.counter("tine_gateway_tries_total", "Members that requests were sent to, or tried.", r.Tries, name)
	b.counter("tine_gateway_resent_total", "Tries that were not the first of their request.", r.Resent, name)
	b.counter("tine_gateway_withdrawn_total", "Tries that were taken back before they began.", r.Withdrawn, name)
}

func (b builder) queue(q *tallies.Queue, name, kind pair) {
	b.gauge("tine_gateway_queue_waiting", "Requests that wait for a member, by the type of the members; empty: all.", float64(q.Waiting), name, kind)
	b.gauge("tine_gateway_queue_bytes", "Size of the requests that wait.", float64(q.Bytes), name, kind)
	for _, state := range tallies.QueueStates {
		b.gauge("tine_gateway_queue_state", "1 for the state that a queue is in, 0 for the others. Of several workers the worst.", truth(q.State == state), name, kind, pair{"state", state})
	}
	b.counter("tine_gateway_queue_admitted_total", "Requests that got a member after a wait.", q.Admitted, name, kind)
	b.counter("tine_gateway_queue_left_total", "Requests whose clients went while they waited.", q.Left, name, kind)
	for reason, n := range map[string]uint64{"full": q.Full, "timeout": q.Timeout, "deadline": q.Deadline, "no_member": q.NoMember} {
		b.counter("tine_gateway_queue_shed_total", "Requests that were refused in place of a wait, or after one, by reason.", n, name, kind, pair{"reason", reason})
	}
	waits := b.steady.histogram(keyOf("queue", labels([]pair{name, kind})), q.Waits)
	b.histogram("tine_gateway_queue_wait_seconds", "How long the requests waited that got a member. The sum is made of the middles of fine buckets.", latencies(&waits), name, kind)
}

func (b builder) members(t *tallies.Tally, name pair) {
	states := map[members.State]int{}
	var others tallies.Rest
	if t.Rest != nil {
		others = *t.Rest
	}
	for i := range t.Members {
		m := &t.Members[i]
		if others.Members > 0 && m.ID == rest {
			others.Add(*m)
			continue
		}
		states[m.State]++
		member := pair{"member", m.ID}
		b.gauge("tine_gateway_member_picked", "Whether a request may go to a member now.", truth(m.Picked), name, member)
		b.gauge("tine_gateway_member_weight", "Share of a member beside others.", m.Weight, name, member)
		b.member(m.InFlight, m.Picks, m.Failed, name, member)
		if m.LatencyMS > 0 {
			b.gauge("tine_gateway_member_latency_seconds", "Latency of a member as those see it that pick.", m.LatencyMS/1e3, name, member)
		}
		if m.ReportAgeMS > 0 {
			b.gauge("tine_gateway_member_report_age_seconds", "Age of a member's report.", m.ReportAgeMS/1e3, name, member)
		}
	}
	if others.Members > 0 {
		b.member(others.InFlight, others.Picks, others.Failed, name, pair{"member", rest})
		states[members.Ready] += others.Ready
		states[rest] = others.Members - others.Ready
	}
	for _, state := range append([]members.State{rest}, members.States...) {
		b.gauge("tine_gateway_members", "Members of a gateway by state; other: of those that are too many to be told one by one, those that are not ready.",
			float64(states[state]), name, pair{"state", string(state)})
	}
}

func (b builder) member(inFlight int, picks, failed uint64, name, member pair) {
	b.gauge("tine_gateway_member_requests_in_flight", "Requests that a gateway has at a member; of a worker of this host those of all gateways.", float64(inFlight), name, member)
	b.counter("tine_gateway_member_picks_total", "How often a member was picked.", picks, name, member)
	b.counter("tine_gateway_member_failures_total", "Requests that a member has refused, or failed in.", failed, name, member)
}

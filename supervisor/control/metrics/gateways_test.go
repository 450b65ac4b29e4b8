package metrics

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
)

// exposed is what a scrape of these gateways shows.
func exposed(t *testing.T, s *steady, all api.Gateways) string {
	t.Helper()
	b := builder{families{}, s}
	s.begin()
	b.gateways(all)
	s.end()
	var out bytes.Buffer
	for _, f := range b.list() {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestGateways: each member has its series, those that are too many are summed, and counts that go back do not.
func TestGateways(t *testing.T) {
	t.Parallel()
	queue := &tallies.Queue{Waiting: 3, State: "held", Admitted: 2, Full: 4}
	queue.Waits[ipc.Bucket(2e9)] = 2
	tally := tallies.Tally{
		Requests: tallies.Requests{Answered: [5]uint64{1: 7, 4: 1}, Gone: 2, Tries: 11, Resent: 1}, Pools: []tallies.Pool{{Type: "web", Queue: queue}, {Type: "clients"}},
		Members: []tallies.Member{
			{ID: "a:80", State: members.Ready, Weight: 2, InFlight: 5, Picks: 10, Failed: 1, LatencyMS: 1500, Picked: true},
			{ID: "q\"\n", State: members.Down, ReportAgeMS: 250},
			{ID: "other", State: members.Ready, Weight: 1, Picks: 3},
		},
		Rest: &tallies.Rest{Members: 4, Ready: 3, Picks: 40},
	}
	all := api.Gateways{Gateways: []api.Gateway{{App: "gate", Workers: 1, Tally: tally}}, Silent: []api.SilentWorker{{App: "gate"}}}
	var s steady
	text := exposed(t, &s, all)
	for _, line := range []string{
		`tine_gateway_workers{gateway="gate",result="silent"} 1`,
		`tine_gateway_requests_total{class="2xx",gateway="gate"} 7`,
		`tine_gateway_requests_total{class="gone",gateway="gate"} 2`,
		`tine_gateway_resent_total{gateway="gate"} 1`,
		`tine_gateway_queue_waiting{gateway="gate",type="web"} 3`,
		`tine_gateway_queue_state{gateway="gate",state="held",type="web"} 1`,
		`tine_gateway_queue_shed_total{gateway="gate",reason="full",type="web"} 4`,
		`tine_gateway_queue_wait_seconds_count{gateway="gate",type="web"} 2`,
		`tine_gateway_member_picked{gateway="gate",member="a:80"} 1`,
		`tine_gateway_member_picked{gateway="gate",member="q\"\n"} 0`,
		`tine_gateway_member_latency_seconds{gateway="gate",member="a:80"} 1.5`,
		`tine_gateway_member_report_age_seconds{gateway="gate",member="q\"\n"} 0.25`,
		`tine_gateway_member_picks_total{gateway="gate",member="a:80"} 10`,
		`tine_gateway_member_picks_total{gateway="gate",member="other"} 43`,
		`tine_gateway_members{gateway="gate",state="ready"} 5`,
		`tine_gateway_members{gateway="gate",state="down"} 1`,
		`tine_gateway_members{gateway="gate",state="other"} 1`,
	} {
		if strings.Count(text, line+"\n") != 1 {
			t.Errorf("%s is there %d times in\n%s", line, strings.Count(text, line+"\n"), text)
		}
	}
	if strings.Contains(text, `type="clients"`) {
		t.Error("a pool without a queue has one")
	}
	all.Gateways[0].Tally.Members = []tallies.Member{{ID: "a:80", Picks: 4}}
	if text := exposed(t, &s, all); !strings.Contains(text, `tine_gateway_member_picks_total{gateway="gate",member="a:80"} 14`) {
		t.Errorf("a count has gone back:\n%s", text)
	}
}

// TestGatewaysAreBounded: however many members there are, the series are not more than of the bound.
func TestGatewaysAreBounded(t *testing.T) {
	t.Parallel()
	var parts []tallies.Tally
	for w := range 2 {
		one := tallies.Tally{Version: 1}
		for i := range tallies.MostMembers {
			one.Members = append(one.Members, tallies.Member{ID: fmt.Sprint(w, "-", i), Picks: 1})
		}
		parts = append(parts, one)
	}
	var s steady
	text := exposed(t, &s, api.Gateways{Gateways: []api.Gateway{{App: "gate", Tally: tallies.Sum(parts)}}})
	if n := strings.Count(text, "\ntine_gateway_member_picks_total{"); n != tallies.MostMembers+1 || !strings.Contains(text, `member="other"} 1000`) {
		t.Errorf("%d series", n)
	}
}

package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestDashboardNamesOnlyWhatThereIs: and all of tine's own apps' and slots' metrics
// have their place in it, or are named here.
func TestDashboardNamesOnlyWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../../scripts/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard map[string]any
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	exprs := map[string]bool{}
	expressions(dashboard, exprs)
	if len(exprs) < 30 {
		t.Fatalf("%d expressions", len(exprs))
	}
	all := families{}
	s := steady{}
	s.begin()
	b := builder{all, &s}
	b.own(&Snapshot{Apps: []App{{Name: "web", Slots: make([]Slot, 1)}}, Values: []Value{{Key: "k", Epoch: 1, Age: time.Second}}})
	b.gateways(api.Gateways{Gateways: []api.Gateway{{App: "gate", Workers: 1, Tally: tallies.Tally{
		Pools: []tallies.Pool{{Queue: &tallies.Queue{}}}, Members: []tallies.Member{{ID: "a", LatencyMS: 1, ReportAgeMS: 1}},
	}}}})
	for _, name := range []string{"tine_scrape_failures_total", "tine_scrape_duration_seconds", "tine_scrape_workers"} { // of gather
		b.gauge(name, "", 0)
	}
	system := prometheus.NewRegistry()
	system.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	found, err := system.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		all[f.GetName()] = f
	}
	used := map[string]bool{}
	name := regexp.MustCompile(`\b(tine|go|process)_[a-z0-9_]+`)
	for expr := range exprs {
		for _, n := range name.FindAllString(expr, -1) {
			n = strings.TrimSuffix(n, "_bucket")
			used[n] = true
			if all[n] == nil {
				t.Errorf("there is no metric %s, which %q names", n, expr)
			}
		}
	}
	shownElsewhere := map[string]bool{
		"tine_app_state": true, "tine_steering_info": true, "tine_slot_untracked_requests_total": true,
		"tine_gateway_workers": true, "tine_gateway_queue_bytes": true, "tine_gateway_queue_state": true, "tine_gateway_queue_left_total": true,
		"tine_gateway_member_weight": true,
		"tine_cache_values":          true, "tine_cache_value_epoch": true, "tine_cache_value_checked_age_seconds": true,
	}
	for n := range all {
		if strings.HasPrefix(n, prefix) && !used[n] && !shownElsewhere[n] {
			t.Errorf("%s is not on the dashboard", n)
		}
	}
}

// expressions finds all queries in a dashboard.
func expressions(v any, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && (key == "expr" || key == "definition") {
				found[text] = true
			}
			expressions(inner, found)
		}
	case []any:
		for _, inner := range v {
			expressions(inner, found)
		}
	}
}

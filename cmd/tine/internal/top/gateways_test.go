package top

import (
	"errors"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/control/api"
)

// withGateway has the first app be a gateway, of which the master has told.
func (s *stage) withGateway() {
	s.m.status.Cache.Values = []api.CacheValue{{Key: "tine.gate.web", Source: "members"}}
	s.master.gateways = api.Gateways{Gateways: []api.Gateway{{App: "web", Workers: 2, Tally: tallies.Tally{
		Version: 1, Listed: 4, Ready: 3,
		Pools: []tallies.Pool{{Way: "least", Queue: &tallies.Queue{Waiting: 5, State: "overloaded", Full: 1200}}},
		Members: []tallies.Member{
			{ID: "api/0", State: members.Ready, Weight: 1, MaxInFlight: 8, InFlight: 3, PicksSecond: 120.4, LatencyMS: 4.25, Picked: true, Why: "ready"},
			{ID: "api/1", State: members.Ready, Weight: 1, MaxInFlight: 8, InFlight: 8, PicksSecond: 99, LatencyMS: 6, Failed: 3, Why: "full: 8 of 8 requests in flight"},
			{ID: "10.0.0.1:8080", State: members.Down, Weight: 1, Failed: 41, Why: "down: 3 checks failed: connection refused"},
			{ID: "\x1b[2Jevil\n:80", State: members.Ready, Weight: 1, Picked: true, Why: "ready"},
		},
	}}}}
	s.run(s.m.askGateways())
}

// TestMembersView: keys show the members and the list again; a gateway that goes, and one that does not answer, harm nothing.
func TestMembersView(t *testing.T) {
	t.Parallel()
	s := newStage(t, shopStatus(), 110, 24)
	s.keys("m")
	if text := strings.Join(s.m.lines(), "\n"); s.m.gateways.shown || !strings.Contains(text, "no app is a gateway") {
		t.Errorf("without a gateway:\n%s", text)
	}
	s.withGateway()
	s.keys("m", "pgdown", "down", "G", "g", "k")
	if text := strings.Join(s.m.lines(), "\n"); !strings.Contains(text, "MEMBERS OF web") || !strings.Contains(text, "connection refused") || strings.Contains(text, "\x1b[2J") {
		t.Errorf("members:\n%s", text)
	}
	s.master.fails = errors.New("busy")
	s.run(s.m.askGateways())
	if _, ok := s.m.gateway(); !ok || s.m.gateways.asking {
		t.Error("an answer that fails takes away what was known")
	}
	s.master.fails, s.master.gateways = nil, api.Gateways{}
	s.run(s.m.askGateways())
	if text := strings.Join(s.m.lines(), "\n"); strings.Contains(text, "api/0") {
		t.Errorf("the gateway has gone:\n%s", text)
	}
	s.keys("esc")
	if text := strings.Join(s.m.lines(), "\n"); s.m.gateways.shown || !strings.Contains(text, "APP SLOT PID") {
		t.Errorf("the list:\n%s", text)
	}
}

package file

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
)

// TestGatewayScore: how members are scored and asked is shown as it was written, and reaches the policy.
func TestGatewayScore(t *testing.T) {
	t.Parallel()
	const text = `apps:
  gate:
    listen: ":80"
    gateway:
      members: ["a:1"]
      pick: score
      score: {multipliers: {cpu_idle: 1, load: 0.5, memory_free: -2}, raw: true}
      evaluate: {mode: continuous, url: "http://{address}/stats", stats: {cpu_idle: cpu.idle, load: "1 - load / 2"}, request_timeout: 500ms, valid_timeout: 2s}
      history: 100
`
	c := load(t, "/srv", text)
	p := c.Apps[0].Gateway.Policy("gate")
	want := policy.Score{Multipliers: map[members.Stat]float64{"cpu_idle": 1, "load": 0.5, "memory_free": -2}, Raw: true}
	if !reflect.DeepEqual(p.Score, want) || p.Evaluate == nil || p.Evaluate.Mode != "continuous" || p.Evaluate.Stats["load"] != "1 - load / 2" || p.History != 100 {
		t.Errorf("%+v, %+v", p.Score, p.Evaluate)
	}
	shown := string(YAML(c))
	if again := load(t, "/srv", shown).Apps[0].Gateway; !reflect.DeepEqual(again.Score, p.Score) || !reflect.DeepEqual(again.Evaluate, p.Evaluate) || again.History != 100 {
		t.Errorf("%s became %+v, %+v", shown, again.Score, again.Evaluate)
	}
	if !strings.Contains(shown, "memory_free: -2") {
		t.Errorf("%s", shown)
	}
}

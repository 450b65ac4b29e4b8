package gateways

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// TestResume: the next master's gateway goes on with what the last one knew. A member that was down is not ready until its checks pass, what
// a person has drained stays drained, and a source that cannot be read now does not empty the table.
func TestResume(t *testing.T) {
	last, err := members.Encode(members.Table{Members: []members.Member{
		{ID: "127.0.0.1:1", Address: "127.0.0.1:1", Weight: 1, State: members.Down, Why: "3 checks failed: refused"},
		{ID: "127.0.0.1:2", Address: "127.0.0.1:2", Weight: 1, State: members.Draining, Why: "for repair", Drained: "for repair"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	v := newValues(t)
	v.before = map[string][]byte{policy.TableKey("gate"): last}
	g := New(func() *snapshot.Master { return nil })
	v.take(g.Values(gatewayConfig(config.Gateway{Members: []config.GatewayMember{
		config.NewGatewayMember("127.0.0.1:1"), config.NewGatewayMember("127.0.0.1:2"),
	}})))
	v.await("the members are as they were", func() bool { return v.states("gate") == "127.0.0.1:1=down 127.0.0.1:2=draining" })
}

func TestResumeWithoutTheSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	last, err := members.Encode(members.Table{Members: []members.Member{{ID: "a", Address: "127.0.0.1:1", Weight: 1, State: members.Ready}}})
	if err != nil {
		t.Fatal(err)
	}
	v := newValues(t)
	v.before = map[string][]byte{policy.TableKey("gate"): last}
	g := New(func() *snapshot.Master { return nil })
	c := config.Gateway{}
	c.Topology = file
	v.take(g.Values(gatewayConfig(c)))
	v.await("the policy is there", func() bool { return v.of(policy.Key("gate")) != "" })
	if err := os.WriteFile(file, []byte(`{"development": {"web": [{"id": "b", "host": "127.0.0.1", "port": 1}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	v.await("the table has what the file has now", func() bool { return v.of(policy.TableKey("gate")) != "" && v.states("gate")[:2] == "b=" })
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.emptied[policy.TableKey("gate")] {
		t.Error("an empty table was given while the file could not be read")
	}
}

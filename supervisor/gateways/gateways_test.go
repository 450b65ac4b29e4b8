package gateways

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// values runs the live values of gateways as the master does, and has the newest of each.
type values struct {
	t       *testing.T
	ctx     context.Context
	wg      sync.WaitGroup
	mu      sync.Mutex
	newest  map[string]string
	gave    map[string]int
	emptied map[string]bool // a table without members was given
	runs    map[string]config.Live
	before  map[string][]byte // values of the last master
}

func newValues(t *testing.T) *values {
	v := &values{t: t, newest: map[string]string{}, gave: map[string]int{}, emptied: map[string]bool{}, runs: map[string]config.Live{}}
	ctx, cancel := context.WithCancel(context.Background())
	v.ctx = ctx
	t.Cleanup(func() { cancel(); v.wg.Wait() })
	return v
}

func (v *values) take(all []config.CacheValue) {
	for _, one := range all {
		if one.Fixed != nil {
			v.mu.Lock()
			v.newest[one.Key] = string(one.Fixed)
			v.mu.Unlock()
		}
		if one.Live == nil || v.runs[one.Key] == one.Live {
			continue
		}
		v.runs[one.Key] = one.Live
		v.wg.Go(func() {
			one.Live.Run(v.ctx, v.before[one.Key], func(b []byte, err error) {
				if err != nil {
					v.t.Error(err)
				}
				v.mu.Lock()
				defer v.mu.Unlock()
				v.newest[one.Key] = string(b)
				v.gave[one.Key]++
				v.emptied[one.Key] = v.emptied[one.Key] || strings.Contains(string(b), `"members":[]`)
			})
		})
	}
}

func (v *values) of(key string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.newest[key]
}

// states are the members of a table, as ID=state.
func (v *values) states(app string) string {
	var t members.Table
	if json.Unmarshal([]byte(v.of(policy.TableKey(app))), &t) != nil {
		return "none"
	}
	var all []string
	for _, m := range t.Members {
		all = append(all, m.ID+"="+string(m.State))
	}
	return strings.Join(all, " ")
}

func (v *values) await(what string, cond func() bool) {
	v.t.Helper()
	eventually.True(v.t, what, cond)
}

func gatewayConfig(g config.Gateway) *config.Config {
	a := config.NewApp("gate")
	a.Gateway = &g
	return &config.Config{Apps: []config.App{a}}
}

// TestGateways: an app of the master is a member as it is in the picture; a config that changes keeps what it does not change.
func TestGateways(t *testing.T) {
	var published snapshot.Published
	picture := func(ready int) *snapshot.Master {
		return &snapshot.Master{Apps: []*snapshot.App{{
			Name: "web", Listen: []string{":8080"}, Pool: pool.Status{Ready: ready}, Workers: []snapshot.Worker{{}},
		}}}
	}
	published.Publish(picture(0))
	g, v := New(published.Newest), newValues(t)
	v.take(g.Values(gatewayConfig(config.Gateway{To: []string{"web"}, Pick: "least"})))
	v.await("the app starts", func() bool { return v.states("gate") == "web=starting" })
	published.Publish(picture(1))
	g.Pictured(published.Newest())
	v.await("the app is ready", func() bool { return v.states("gate") == "web=ready" })
	v.await("the policy is there", func() bool { return strings.Contains(v.of(policy.Key("gate")), `"pick":"least"`) })

	if !g.Tell(t.Context(), "gate", fleet.Drain{ID: "web", Reason: "for a test"}) || g.Tell(t.Context(), "other", fleet.Tick{}) {
		t.Error("it tells what is there from what is not")
	}
	v.await("the app drains", func() bool { return v.states("gate") == "web=draining" })

	// What was known of the member stays.
	v.take(g.Values(gatewayConfig(config.Gateway{To: []string{"web"}, Members: []config.GatewayMember{config.NewGatewayMember("127.0.0.1:1")}, Pick: "maglev"})))
	v.await("the member that was added is in the table", func() bool { return v.states("gate") == "web=draining 127.0.0.1:1=ready" })
	v.await("the policy is the new one", func() bool { return strings.Contains(v.of(policy.Key("gate")), `"pick":"maglev"`) })
	if len(v.runs) != 1 {
		t.Errorf("%d live values", len(v.runs))
	}
	v.take(g.Values(gatewayConfig(config.Gateway{Members: []config.GatewayMember{config.NewGatewayMember("127.0.0.1:1")}})))
	v.await("the app is gone from the table", func() bool { return !strings.Contains(v.states("gate"), "web") })
}

func TestBell(t *testing.T) {
	var b bell
	first, second := b.wait(), b.wait()
	select {
	case <-first:
		t.Error("it rings by itself")
	default:
	}
	b.ring()
	<-first
	<-second
	select {
	case <-b.wait():
		t.Error("an earlier ring counts")
	default:
	}
}

// TestOutcomes: what workers tell of requests ejects a member, and rubbish does nothing.
func TestOutcomes(t *testing.T) {
	var published snapshot.Published
	published.Publish(&snapshot.Master{})
	g, v := New(published.Newest), newValues(t)
	var two []config.GatewayMember // which listen, as they are checked
	for _, id := range []string{"a", "b"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		m := config.NewGatewayMember(l.Addr().String())
		m.ID = id
		two = append(two, m)
	}
	v.take(g.Values(gatewayConfig(config.Gateway{Members: two, Delivery: config.Delivery{Eject: config.Eject{Failures: 3}, Panic: config.PanicOff}})))
	v.await("both are ready", func() bool { return v.states("gate") == "a=ready b=ready" })
	for _, rubbish := range []string{"", "{", `[{"id":"other","failed":9}]`, `[{"id":"","failed":9}]`, `[{"id":"b","failed":-9}]`} {
		g.Outcomes("gate", []byte(rubbish))
	}
	g.Outcomes("other", []byte(`[{"id":"b","failed":9}]`))
	g.Outcomes("gate", []byte(`[{"id":"a","failed":2}]`)) // of one worker
	g.Outcomes("gate", []byte(`[{"id":"a","failed":1}]`)) // and of another
	v.await("the member that fails is ejected", func() bool { return v.states("gate") == "a=ejected b=ready" })

	// Bounds that change count from then on.
	v.take(g.Values(gatewayConfig(config.Gateway{Members: two, Delivery: config.Delivery{Panic: 1}})))
	v.await("ejections do not count", func() bool { return v.states("gate") == "a=ready b=ready" })
}

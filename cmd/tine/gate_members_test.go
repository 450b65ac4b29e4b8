//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestGateMembers: what the workers of a gateway know of its members is told together, and goes on when the workers are replaced.
func TestGateMembers(t *testing.T) {
	a, b := newBackend(t, 1), newBackend(t, 2)
	m := startReady(t, gateConfig(a.address(), b.address()))
	look := func() memberTable {
		t.Helper()
		out, _ := m.tell(0, "gate", "members", "gate", "--json")
		var all map[string]memberTable
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return all["gate"]
	}
	picks := func() (n uint64) {
		for _, one := range look().Members {
			if one.Seen != nil {
				n += one.Seen.Picks
			}
		}
		return n
	}
	get := func(n int) {
		t.Helper()
		for range n {
			res, err := http.Get("http://" + m.address() + "/")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	get(20)
	if n := picks(); n != 20 {
		t.Errorf("%d picks of 20", n)
	}
	now := look()
	if now.Workers != 2 || now.Requests.Answered[1] != 20 || now.Requests.Tries != 20 || len(now.Pools) == 0 || now.Pools[0].Way != "least" ||
		now.Members[0].ID != a.address() || !now.Members[0].Seen.Picked || now.Members[0].Seen.PicksSecond <= 0 {
		t.Errorf("%+v", now)
	}
	if out, _ := m.tell(0, "status"); !strings.Contains(out, "gateway: 2 of 2 members ready, picked by least, ") {
		t.Errorf("status:\n%s", out)
	}

	if out := scraped(t, m); !strings.Contains(out, fmt.Sprintf(`tine_gateway_member_picks_total{gateway="gate",member=%q} `, a.address())) ||
		!strings.Contains(out, `tine_gateway_requests_total{class="2xx",gateway="gate"} 20`) {
		t.Errorf("metrics:\n%s", out)
	}

	m.roll()
	get(5)
	if n := picks(); n != 25 {
		t.Errorf("%d picks of 25 after the workers were replaced", n)
	}
	b.Close()
	eventually.True(t, "why a member is not picked is told", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, fmt.Sprintf("gate     %s  down ", b.address())) && strings.Contains(out, "connection refused")
	})
	m.stop()
	m.ended(0)
}

// scraped is what GET /v1/metrics answers.
func scraped(t *testing.T, m *tine) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socketIn(m.dir))
	}}}
	res, err := client.Get("http://tine/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// topologyOf is a servers.json with these servers, in the environment production.
func topologyOf(t *testing.T, servers ...*backend) string {
	t.Helper()
	var all []string
	for i, s := range servers {
		host, port, _ := strings.Cut(s.address(), ":")
		all = append(all, fmt.Sprintf(`{"id": "chat-server-%d", "host": %q, "port": %s}`, i+1, host, port))
	}
	return fmt.Sprintf(`{"production": {"chat": [%s]}}`, strings.Join(all, ", "))
}

// TestGateTopology: the servers of a servers.json are members. One that is added gets requests, and no worker is started anew; while the file
// is broken the servers stay, and the log says what is wrong and where.
func TestGateTopology(t *testing.T) {
	a, b, c := newBackend(t, 1), newBackend(t, 2), newBackend(t, 3)
	dir := folder(t)
	write(t, dir, "servers.json", topologyOf(t, a, b))
	write(t, dir, "tine.yaml", `apps:
  gate:
    gateway: {topology: servers.json, env: production, pick: least}
    listen: 127.0.0.1:0
    workers: 1
    drain_delay: 0s
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	before := fmt.Sprint(m.workers("gate"))
	l := m.load(2)
	eventually.True(t, "both servers answer", func() bool { return a.served.Load() > 0 && b.served.Load() > 0 })
	write(t, dir, "servers.json", topologyOf(t, a, b, c))
	eventually.True(t, "the server that was added answers", func() bool { return c.served.Load() > 0 })
	mark := m.mark()
	write(t, dir, "servers.json", `{"production": {"chat": [{"id": "chat-server-1"}]}}`)
	m.awaitFrom(mark, is("members: silent"))
	if out, _ := m.tell(0, "gate", "members"); strings.Count(out, "ready") != 3 {
		t.Errorf("while the file is broken:\n%s", out)
	}
	mark = m.mark()
	write(t, dir, "servers.json", topologyOf(t, a))
	m.awaitFrom(mark, is("members: heard"))
	eventually.True(t, "the servers that were removed are gone", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Count(out, "ready") == 1
	})
	if now := fmt.Sprint(m.workers("gate")); now != before {
		t.Errorf("workers %s, then %s", before, now)
	}
	l.lossless(t)
	m.stop()
	m.ended(0)
}

// TestGateChecks: a server whose answer to a check is not the one that is expected is down, with the reason; a server says of its load what
// the config looks for in its JSON.
func TestGateChecks(t *testing.T) {
	a := newBackend(t, 1)
	var sick atomic.Bool
	health := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/stats":
			_, _ = w.Write([]byte(`{"cpu": {"busy": 75}}`))
		case r.URL.Path == "/healthz" && sick.Load():
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	b := httptest.NewServer(health)
	t.Cleanup(b.Close)
	m := startReady(t, fmt.Sprintf(`apps:
  gate:
    gateway:
      members: ["%s", "%s"]
      check: {path: /healthz, every: 20ms, fall: 2}
      reports: {url: "http://{address}/stats", stats: {cpu_idle: 1 - cpu.busy / 100}, every: 50ms}
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`, a.address(), b.Listener.Addr()))
	eventually.True(t, "the server says how its load is", func() bool {
		out, _ := m.tell(0, "cache", "get", "tine.gate.gate")
		return strings.Contains(out, `"cpu_idle":0.25`)
	})
	sick.Store(true)
	eventually.True(t, "the sick server is down", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, "down") && strings.Contains(out, "2 checks failed: status 500: 200-399 is expected")
	})
	for range 5 {
		if got := m.who().PID; got != 1 {
			t.Errorf("server %d answers", got)
		}
	}
	sick.Store(false)
	eventually.True(t, "it is back", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Count(out, "ready") == 2
	})
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// backend is a server behind a gateway: its answers have its number for a PID.
type backend struct {
	*httptest.Server
	served atomic.Int64
}

func newBackend(t *testing.T, number int) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.served.Add(1)
		_ = json.NewEncoder(w).Encode(about{PID: number})
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) address() string { return b.Listener.Addr().String() }

// gateConfig is a gateway before these servers.
func gateConfig(servers ...string) string {
	return fmt.Sprintf(`cache:
  web: {members: ["%s"], every: 50ms}
apps:
  gate:
    command: [%s, gate, worker, --members, web, --pick, least]
    listen: 127.0.0.1:0
    workers: 2
    $CALM
`, strings.Join(servers, `", "`), tinePath)
}

// TestGate: a gateway before two servers loses no request when it is rolled, when a server stops listening, when one is added, and
// when its master is killed; and says of each server how it is.
func TestGate(t *testing.T) {
	a, b, c := newBackend(t, 1), newBackend(t, 2), newBackend(t, 3)
	m := startReady(t, gateConfig(a.address(), b.address()), kept)
	before := m.workers("gate")
	l := m.load(4)
	eventually.True(t, "both servers answer", func() bool { return a.served.Load() > 0 && b.served.Load() > 0 })
	m.roll()

	b.Listener.Close() // new connections are refused from here on
	eventually.True(t, "the server that refuses is down", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, b.address()+"  down") && strings.Contains(out, "connection refused")
	})

	rolled := m.workers("gate")
	write(t, m.dir, "tine.yaml", gateConfig(a.address(), b.address(), c.address()))
	m.signal(syscall.SIGHUP)
	eventually.True(t, "the server that was added answers", func() bool { return c.served.Load() > 0 })
	if now := m.workers("gate"); fmt.Sprint(now) != fmt.Sprint(rolled) || fmt.Sprint(now) == fmt.Sprint(before) {
		t.Errorf("workers %v, then %v after the roll, %v after a server was added", before, rolled, now)
	}

	// The next master knows the servers too, and so do the workers that it starts.
	mark := m.mark()
	if err := syscall.Kill(m.mustStatus().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, is("adopted the workers of the last master"))
	m.roll()
	l.lossless(t)
	m.stop()
	m.ended(0)
}

// TestGateVerb: without a file a gateway is one line; what is wrong with that line is said before anything runs.
func TestGateVerb(t *testing.T) {
	a := newBackend(t, 1)
	m := startIn(t, folder(t), []string{"gate", "-l", "127.0.0.1:0", "--to", a.address(), "-n", "1", "--drain-delay", "0s"})
	m.await(is("all workers are ready"))
	if got := m.who().PID; got != 1 {
		t.Errorf("server %d answers", got)
	}
	for want, args := range map[string][]string{
		"-l: name the address":                   {"--to", "h:1"},
		"--to: 0 members":                        {"-l", ":80"},
		`--to: member "web" is not an address`:   {"-l", ":80", "--to", "web"},
		`cannot pick by "best": one of`:          {"-l", ":80", "--to", "h:1", "--pick", "best"},
		`cannot pick by the key "uid": ip, path`: {"-l", ":80", "--to", "h:1", "--pick", "maglev", "--key", "uid"},
		`"10.0.0.1" is not a network`:            {"-l", ":80", "--to", "h:1", "--trust", "10.0.0.1"},
		"cannot retry on status 500":             {"-l", ":80", "--to", "h:1", "--retry", "500"},
		"runs no command: ./server":              {"-l", ":80", "--to", "h:1", "--", "./server"},
	} {
		if _, stderr := m.tell(2, append([]string{"gate"}, args...)...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %q, want %q", args, stderr, want)
		}
	}
	m.stop()
	m.ended(0)
}

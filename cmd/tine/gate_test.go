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
	return fmt.Sprintf(`apps:
  gate:
    gateway: {members: ["%s"], pick: least}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
`, strings.Join(servers, `", "`))
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

// TestGateOfValue: an app may be the gateway of a cached value that is a table of members.
func TestGateOfValue(t *testing.T) {
	a := newBackend(t, 1)
	m := startReady(t, fmt.Sprintf(`cache:
  web: {members: ["%s"], every: 50ms}
apps:
  gate:
    command: [%s, gate, worker, --members, web, --pick, least]
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`, a.address(), tinePath))
	if got := m.who().PID; got != 1 {
		t.Errorf("server %d answers", got)
	}
	if out, _ := m.tell(0, "gate", "members"); !strings.Contains(out, "web") || !strings.Contains(out, a.address()+"  ready") {
		t.Errorf("members:\n%s", out)
	}
	m.stop()
	m.ended(0)
}

// answers is the PID with which the workers of an app answer; 0: they do not.
func answers(m *tine, app string) int {
	m.t.Helper()
	res, err := http.Get("http://" + m.addresses(app)[0] + "/")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var a about
	_ = json.NewDecoder(res.Body).Decode(&a)
	return a.PID
}

// TestGateToApp: an app of the same master is a member, and a policy that changes counts without a new worker.
func TestGateToApp(t *testing.T) {
	const config = `apps:
  web:
    command: $MEMBER
    listen: 127.0.0.1:0
    workers: 1
    $CALM
  gate:
    gateway: {to: web, pick: %s}
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`
	m := startReady(t, fmt.Sprintf(config, "least"))
	before := m.workers("gate")
	own := m.workers("web")[0]
	eventually.True(t, "the app answers by the gateway", func() bool { return answers(m, "gate") == own })
	write(t, m.dir, "tine.yaml", fmt.Sprintf(config, "maglev"))
	mark := m.mark()
	m.signal(syscall.SIGHUP)
	m.awaitFrom(mark, is("configuration applied"))
	for _, args := range [][]string{{"cache", "set", "tine.gate.gate", "x"}, {"cache", "delete", "tine.gate.gate.policy"}} {
		if _, stderr := m.tell(1, args...); !strings.Contains(stderr, "are those of gateways") {
			t.Errorf("%v: %s", args, stderr)
		}
	}
	eventually.True(t, "the policy is the new one", func() bool {
		out, _ := m.tell(0, "cache", "get", "tine.gate.gate.policy")
		return strings.Contains(out, `"pick":"maglev"`)
	})
	if answers(m, "gate") != own || fmt.Sprint(m.workers("gate")) != fmt.Sprint(before) {
		t.Errorf("workers %v, then %v", before, m.workers("gate"))
	}
	m.stop()
	m.ended(0)
}

// TestGateAdded: a gateway that a new config brings has its policy and its servers from the first request on, and its workers start once.
func TestGateAdded(t *testing.T) {
	const config = `apps:
  web:
    command: $MEMBER
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`
	m := startReady(t, config)
	write(t, m.dir, "tine.yaml", config+`  gate:
    gateway: {to: web}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
`)
	m.signal(syscall.SIGHUP)
	m.await(func(e event) bool { return e.Message == "ready" && e.App == "gate" && e.Slot == 0 })
	m.await(func(e event) bool { return e.Message == "ready" && e.App == "gate" && e.Slot == 1 })
	if got, want := answers(m, "gate"), m.workers("web")[0]; got != want {
		t.Errorf("worker %d answers, want %d", got, want)
	}
	if ended := m.since(0, func(e event) bool { return e.App == "gate" && e.Message == "exited" }); len(ended) > 0 {
		t.Errorf("workers of the gateway have ended: %s", ended[0].Raw)
	}
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
		`--to: member "web:" is not an address`:  {"-l", ":80", "--to", "web:"},
		`--pick: "best" is not known`:            {"-l", ":80", "--to", "h:1", "--pick", "best"},
		`cannot pick by the key "uid": ip, path`: {"-l", ":80", "--to", "h:1", "--pick", "maglev", "--key", "uid"},
		`"10.0.0.1" is not a network`:            {"-l", ":80", "--to", "h:1", "--trust", "10.0.0.1"},
		"--retry: 500 is not one of":             {"-l", ":80", "--to", "h:1", "--retry", "500"},
		"runs no command: ./server":              {"-l", ":80", "--to", "h:1", "--", "./server"},
	} {
		if _, stderr := m.tell(2, append([]string{"gate"}, args...)...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %q, want %q", args, stderr, want)
		}
	}
	// An app that runs, of whichever master.
	dir := folder(t)
	front := startIn(t, dir, []string{"gate", "-l", "127.0.0.1:0", "--to", "gate", "--name", "front", "-n", "1", "--control", socketIn(dir)},
		withEnv("TINE_CONTROL="+socketIn(m.dir)))
	front.await(is("all workers are ready"))
	if got := front.who().PID; got != 1 {
		t.Errorf("server %d answers behind two gateways", got)
	}
	if _, stderr := m.tell(1, "gate", "-l", ":80", "--to", "nothing"); !strings.Contains(stderr, "--to nothing: no address, and no app that runs") {
		t.Errorf("an app that is not there: %s", stderr)
	}
	front.signal(syscall.SIGTERM)
	front.ended(0)
	m.stop()
	m.ended(0)
}

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const pauseConfig = `apps:
  gate:
    gateway: {to: web, history: 100, queue: {timeout: 60s}}
    listen: 127.0.0.1:0
    workers: 1
    $CALM
  web:
    command: $MEMBER
    listen: 127.0.0.1:0
    workers: 1
    $CALM
  alone:
    command: $MEMBER
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`

// heldRequest is a request that a gateway holds.
type heldRequest struct {
	over   atomic.Bool
	answer chan error
}

// sendHeld sends a request to the gateway, and waits until n requests wait there.
func (m *tine) sendHeld(id string, n int) *heldRequest {
	m.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+m.addresses("gate")[0]+"/", strings.NewReader("x"))
	if err != nil {
		m.t.Fatal(err)
	}
	h := &heldRequest{answer: make(chan error, 1)}
	go func() {
		_, err := outcome(fresh.Do(r))
		h.over.Store(true)
		h.answer <- err
	}()
	eventually.True(m.t, id+" waits", func() bool { return h.over.Load() || m.waiting() == n })
	return h
}

func (h *heldRequest) answered(t *testing.T) {
	t.Helper()
	if err := eventually.Receive(t, "the answer", h.answer); err != nil {
		t.Error(err)
	}
}

// waiting is how many requests wait in gateways; -1: they do not say.
func (m *tine) waiting() (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := control.NewClient(socketIn(m.dir))
	defer client.Close()
	all, err := client.Gateways(ctx, "")
	if err != nil {
		return -1
	}
	for _, g := range all.Gateways {
		for _, p := range g.Tally.Pools {
			if p.Queue != nil {
				n += p.Queue.Waiting
			}
		}
	}
	return n
}

// paused is what status says of the pause of web.
func (m *tine) paused() *api.Pause {
	for _, a := range m.mustStatus().Apps {
		if a.Name == "web" {
			return a.Paused
		}
	}
	return nil
}

// TestPauseAndResume: requests to an app that is paused are held, over a restart of the app, a crash of the master and an upgrade, and
// served after the resume. A pause with an end ends by itself.
func TestPauseAndResume(t *testing.T) {
	m := startReady(t, pauseConfig, kept)
	eventually.True(t, "the app answers by the gateway", func() bool { return answers(m, "gate") == m.workers("web")[0] })
	mark := m.mark()
	m.tell(0, "pause", "web", "--reason", "migration")
	if e := m.awaitFrom(mark, is("requests paused")); e.App != "web" {
		t.Errorf("%s", e.Raw)
	}
	eventually.True(t, "the gateway knows", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, "paused") && strings.Contains(out, "until tine resume: migration")
	})
	first := m.sendHeld("first", 1)
	for _, args := range [][]string{{"restart", "web"}, {"kill"}, {"upgrade"}} {
		if args[0] == "kill" {
			mark := m.mark()
			if err := syscall.Kill(m.mustStatus().PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			m.awaitFrom(mark, is("adopted the workers of the last master"))
		} else {
			m.tell(0, args...)
		}
		if p := m.paused(); p == nil || p.Reason != "migration" || p.Until != nil {
			t.Errorf("after %s: %+v", args[0], p)
		}
	}
	if all := m.since(0, is("this cannot happen; please report it")); len(all) > 0 {
		t.Error(all[0].Raw)
	}
	if out, _ := m.tell(0, "status"); !strings.Contains(out, "until tine resume: migration. Gateways hold requests to it") {
		t.Errorf("status:\n%s", out)
	}
	second := m.sendHeld("second", 2)
	if first.over.Load() || second.over.Load() {
		t.Error("a request was not held")
	}
	m.tell(0, "resume", "web")
	first.answered(t)
	second.answered(t)
	if p := m.paused(); p != nil {
		t.Errorf("after the resume: %+v", p)
	}

	began := time.Now()
	m.tell(0, "pause", "web", "--for", "3s")
	eventually.True(t, "the gateway knows", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, "paused")
	})
	third := m.sendHeld("third", 1)
	third.answered(t)
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("it was held for %s", took)
	}

	for want, args := range map[string][]string{
		"cannot pause app alone: no gateway passes requests on to it": {"pause", "alone"},
		"no app": {"resume", "wen"},
	} {
		if _, stderr := m.tell(1, args...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %s", args, stderr)
		}
	}
	if _, stderr := m.tell(2, "pause", "web", "--for", "-1s"); !strings.Contains(stderr, "--for: -1s is out of range") {
		t.Errorf("%s", stderr)
	}
	m.stop()
	m.ended(0)
}

// TestGateQueue: a server that takes one request at once never gets two, and no request fails, also when the policy changes, the server is
// down for a while, and the gateway is rolled, under load.
func TestGateQueue(t *testing.T) {
	var inFlight, most atomic.Int64
	var mu sync.Mutex
	b := newBackend(t, 1)
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := inFlight.Add(1)
		mu.Lock()
		most.Store(max(most.Load(), n))
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(about{PID: 1})
		inFlight.Add(-1)
	})
	config := func(timeout string) string {
		return fmt.Sprintf(`apps:
  gate:
    gateway:
      members: {one: {address: "%s", max_in_flight: 1}}
      queue: {timeout: %s, target: 1s, interval: 2s}
    listen: 127.0.0.1:0
    workers: 1
    $CALM
`, b.address(), timeout)
	}
	m := startReady(t, config("20s"))
	l := m.load(4)
	for _, timeout := range []string{"21s", "22s"} {
		mark := m.mark()
		write(t, m.dir, "tine.yaml", config(timeout))
		m.signal(syscall.SIGHUP)
		m.awaitFrom(mark, is("configuration applied"))
	}
	served := l.served.Load()
	eventually.True(t, "requests go on", func() bool { return l.served.Load() > served+100 })
	l.lossless(t)
	if n := most.Load(); n != 1 {
		t.Errorf("%d requests were at the server at once", n)
	}
	m.stop()
	m.ended(0)
}

// TestGateDrainServesWhatWaits: a worker of a gateway that drains serves the requests that wait in it.
func TestGateDrainServesWhatWaits(t *testing.T) {
	m := startReady(t, pauseConfig)
	m.tell(0, "pause", "web")
	waits := m.sendHeld("one", 1)
	mark := m.mark()
	reload, _, errs := m.command("reload", "gate")
	if err := reload.Start(); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, func(e event) bool { return e.App == "gate" && e.Message == "draining" })
	m.tell(0, "resume", "web")
	waits.answered(t)
	if err := reload.Wait(); err != nil {
		t.Errorf("%v: %s", err, errs)
	}
	m.stop()
	m.ended(0)
}

// TestQueueOverRollout: no request fails when an app is rolled and paused whose only worker takes one request at once.
func TestQueueOverRollout(t *testing.T) {
	m := startReady(t, `apps:
  gate:
    gateway: {to: web, queue: {timeout: 30s, target: 1s, interval: 2s}}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
  web:
    command: $MEMBER
    workers: 1
    max_in_flight: 1
    $CALM
`)
	l := pacedLoadOn(m.addresses("gate")[0], 4, 4*time.Millisecond)
	m.tell(0, "reload", "web")
	mark := m.mark()
	m.tell(0, "pause", "web", "--for", "200ms")
	m.awaitFrom(mark, is("requests resumed"))
	m.tell(0, "reload", "web")
	served := l.served.Load()
	eventually.True(t, "requests go on", func() bool { return l.served.Load() > served+100 })
	l.lossless(t)
	m.stop()
	m.ended(0)
}

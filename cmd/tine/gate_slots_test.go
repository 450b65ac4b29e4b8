//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// slotsConfig is a gateway before an app that has no address of its own.
const slotsConfig = `apps:
  gate:
    gateway: {to: web, pick: round-robin}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
  web:
    command: $MEMBER
    workers: %d
    $CALM
`

// askGate asks the gateway n times over one connection, and counts the answers by PID.
func askGate(t *testing.T, address string, n int) map[int]int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	all := map[int]int{}
	for range n {
		res, err := client.Get("http://" + address + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("answered %s %q, %v", res.Status, body, err)
		}
		all[parseAbout(t, string(body)).PID]++
	}
	return all
}

// TestGateToSlots: a gateway picks a worker of an app for each request. It loses none when the app is rolled, when it is scaled, when
// the master is killed and when Tine is upgraded, and none that may be begun twice when a worker of the app is killed.
func TestGateToSlots(t *testing.T) {
	m := startReady(t, fmt.Sprintf(slotsConfig, 2), kept)
	address := m.addresses("gate")[0]
	eventually.True(t, "both workers answer in turn, over one connection", func() bool {
		all := askGate(t, address, 10)
		return len(all) == 2 && all[m.workers("web")[0]] == 5
	})
	out, _ := m.tell(0, "gate", "members")
	for _, want := range []string{"web/0   ready", "web/1   ready"} {
		if !strings.Contains(out, want) {
			t.Errorf("the members lack %s:\n%s", want, out)
		}
	}
	mark := m.mark()
	if err := syscall.Kill(m.workers("web")[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	askGate(t, address, 50)
	m.awaitFrom(mark, func(e event) bool { return e.App == "web" && e.Message == "ready" })
	l := m.steadily(4)
	m.tell(0, "reload", "web")
	m.tell(0, "scale", "web", "3")
	eventually.True(t, "the third worker answers too", func() bool { return len(askGate(t, address, 12)) == 3 })
	m.tell(0, "scale", "web", "1")
	eventually.True(t, "one worker is left", func() bool { return len(askGate(t, address, 4)) == 1 })
	m.tell(0, "scale", "web", "2")
	eventually.True(t, "two workers answer", func() bool { return len(askGate(t, address, 4)) == 2 && len(m.workers("web")) == 2 })

	before := fmt.Sprint(m.workers("web"), m.workers("gate"))
	mark = m.mark()
	if err := syscall.Kill(m.mustStatus().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, is("adopted the workers of the last master"))
	if all := askGate(t, address, 4); len(all) != 2 {
		t.Errorf("below the next master %v answer", all)
	}
	m.tell(0, "upgrade")
	if all := askGate(t, address, 4); len(all) != 2 {
		t.Errorf("after an upgrade %v answer", all)
	}
	if now := fmt.Sprint(m.workers("web"), m.workers("gate")); now != before {
		t.Errorf("the workers were %s and are %s", before, now)
	}
	l.lossless(t)

	// An app that is stopped has no socket any more, and its gateway says so.
	m.tell(0, "stop", "web")
	sockets, err := filepath.Glob(filepath.Join(m.dir, "*.inner", "web.*"))
	if err != nil || len(sockets) > 0 {
		t.Errorf("sockets are left: %v, %v", sockets, err)
	}
	res, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without its app the gateway answers %s", res.Status)
	}
	m.tell(0, "start", "web")
	eventually.True(t, "the app answers again", func() bool { return len(askGate(t, address, 4)) == 2 })
	m.stop()
	m.ended(0)
}

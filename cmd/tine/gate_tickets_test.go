//go:build linux

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// ticketsConfig is a gateway before workers that take two requests at once.
const ticketsConfig = `apps:
  gate:
    gateway: {to: web, pick: least}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
  web:
    command: $MEMBER
    workers: 3
    max_in_flight: 2
    env: {MEMBER_BEGUN: %s}
    $CALM
`

// TestGateTickets: workers are stopped at random under more POSTs than they can take, and then go on or are killed. No request begins
// twice, and of those that have not begun none fails.
func TestGateTickets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "begun")
	m := startReady(t, fmt.Sprintf(ticketsConfig, file), kept)
	target := "http://" + m.addresses("gate")[0] + "/begin?id="
	var ids, served atomic.Int64
	var mu sync.Mutex
	failed := map[string]string{}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprint(ids.Add(1))
				why := ""
				res, err := client.Post(target+id, "", strings.NewReader("x"))
				if err != nil {
					why = err.Error()
				} else {
					b, _ := io.ReadAll(res.Body)
					if res.Body.Close(); res.StatusCode != http.StatusOK {
						why = res.Status + " " + string(b)
					}
				}
				if why == "" {
					served.Add(1)
					continue
				}
				mu.Lock()
				failed[id] = why
				mu.Unlock()
			}
		})
	}
	progress := func(what string) {
		t.Helper()
		before := served.Load()
		eventually.True(t, "requests are answered "+what, func() bool { return served.Load() > before+20 })
	}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 12))
	kills := 0
	for range 20 {
		progress("while all run")
		mark, slot := m.mark(), r.IntN(3)
		pid := m.workers("web")[slot]
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		progress("while one is stopped")
		if r.IntN(2) == 0 {
			syscall.Kill(pid, syscall.SIGCONT)
			continue
		}
		kills++
		syscall.Kill(pid, syscall.SIGKILL)
		m.awaitFrom(mark, func(e event) bool { return e.App == "web" && e.Message == "ready" })
	}
	close(stop)
	clients.Wait()

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]int{}
	for id := range strings.Lines(string(text)) {
		if id = strings.TrimSuffix(id, "\n"); begun[id] > 0 {
			t.Errorf("request %s began twice", id)
		}
		begun[id]++
	}
	lost := 0
	for id, why := range failed {
		if begun[id] == 0 {
			lost++
			t.Logf("request %s had not begun, as far as it has said: %s", id, why)
		}
	}
	// A request has begun before its handler says so: of one whose worker is killed in between nothing is known here.
	if lost > 2 {
		t.Errorf("%d requests failed that had not begun", lost)
	}
	if most := 2 * kills; len(failed) > most {
		t.Errorf("%d requests failed, and %d workers were killed that may have had two each", len(failed), kills)
	}
	t.Logf("%d answered, %d begun, %d failed, %d workers killed", served.Load(), len(begun), len(failed), kills)
}

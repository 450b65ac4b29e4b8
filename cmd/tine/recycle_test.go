//go:build linux

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func init() {
	moreRoutes = append(moreRoutes, func(m *member, mux *http.ServeMux) {
		mux.HandleFunc("/grow", func(rw http.ResponseWriter, r *http.Request) {
			mb, _ := strconv.Atoi(r.FormValue("mb"))
			// At once and for good, and past the heap, which would be given back.
			_, err := syscall.Mmap(-1, 0, mb<<20, syscall.PROT_READ|syscall.PROT_WRITE,
				syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_POPULATE)
			if err != nil {
				http.Error(rw, err.Error(), http.StatusInternalServerError)
			}
		})
	})
}

// oneByOne holds the log from a mark on to what every voluntary replacement keeps: a
// slot always has a ready worker, and there is one worker too many at most.
func (m *tine) oneByOne(mark int) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	ready, alive, slots := map[int]map[int]bool{}, map[int]bool{}, 0
	for i, e := range m.events {
		switch e.Message {
		case "spawned":
			alive[e.PID] = true
			slots = max(slots, e.Slot+1)
		case "ready":
			if ready[e.Slot] == nil {
				ready[e.Slot] = map[int]bool{}
			}
			ready[e.Slot][e.PID] = true
		case "draining", "exited":
			delete(ready[e.Slot], e.PID)
			if e.Message == "exited" {
				delete(alive, e.PID)
			}
		}
		if i < mark {
			continue
		}
		if e.Message == "stopping" {
			break
		}
		for slot := range slots {
			if len(ready[slot]) == 0 {
				m.t.Errorf("slot %d has no ready worker: %s", slot, e.Raw)
			}
		}
		if len(alive) > slots+1 {
			m.t.Errorf("%d workers for %d slots: %s", len(alive), slots, e.Raw)
		}
	}
}

// recycled waits until so many workers have been replaced for a reason, one by one, and
// returns the reasons.
func (m *tine) recycled(mark, n int, reason string) (all []event) {
	m.t.Helper()
	seen := map[int]bool{}
	for len(all) < n {
		e := m.awaitFrom(mark, func(e event) bool { return e.Message == "recycle" && !seen[e.PID] })
		seen[e.PID] = true
		if !strings.HasPrefix(e.Reason, reason) {
			m.t.Errorf("replaced for another reason: %s", e.Raw)
		}
		all = append(all, e)
		m.awaitFrom(mark, is("exited", e.PID))
	}
	m.oneByOne(mark)
	return all
}

// TestMaxRequests: each worker is replaced after about so many requests, one at a time,
// and no request is lost.
func TestMaxRequests(t *testing.T) {
	t.Parallel()
	const most, workers = 200, 3
	m := startReady(t, steered(workers, "steering: auto", fmt.Sprintf("max_requests: %d", most), "recycle_jitter: 0.5", "$CALM"))
	mark := m.mark()
	l := m.load(4)
	served := map[string]bool{}
	for _, e := range m.recycled(mark, workers+1, "max requests") {
		n, err := strconv.Atoi(strings.Fields(strings.TrimPrefix(e.Reason, "max requests: "))[0])
		if err != nil || n < most/2 {
			t.Errorf("replaced too early: %s", e.Raw)
		}
		served[e.Reason] = true
	}
	if len(served) < 2 {
		t.Errorf("all at the same number of requests: %v", served)
	}
	l.lossless(t)
	m.stop()
}

// TestMaxAge: workers grow old by themselves, each at a time of its own.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, "max_age: 1s", "recycle_jitter: 0.3", "$CALM"))
	mark := m.mark()
	l := m.load(2)
	for _, e := range m.recycled(mark, 2, "max age") {
		if age := e.TookMS; age < 700 {
			t.Errorf("replaced at the age of %.0f ms: %s", age, e.Raw)
		}
	}
	l.lossless(t)
	m.stop()
}

// TestMaxRSS: a worker that has grown too large is replaced.
func TestMaxRSS(t *testing.T) {
	t.Parallel()
	m := startReady(t, steered(2, "max_rss: 256MiB", "$CALM"))
	l := m.load(2)
	mark := m.mark()
	fat := m.workers("")[1]
	m.mustAsk(fat, "/grow?mb=300")
	all := m.recycled(mark, 1, "max rss")
	if e := all[0]; e.PID != fat || e.Slot != 1 {
		t.Errorf("worker %d has grown, and replaced was: %s", fat, e.Raw)
	}
	l.lossless(t)
	if n := len(m.since(mark, is("recycle"))); n != 1 {
		t.Errorf("%d workers were replaced, want the one", n)
	}
	m.stop()
}

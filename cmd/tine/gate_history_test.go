//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestGateWhy: what a gateway did with a request is told by the request's X-Request-Id, whichever worker has delivered it, and no more
// once its place is needed for others.
func TestGateWhy(t *testing.T) {
	a := newBackend(t, 1)
	m := startIn(t, folder(t), []string{"gate", "-l", "127.0.0.1:0", "--to", a.address(), "-n", "2", "--history", "3", "--pick", "least", "--drain-delay", "0s"})
	m.await(is("all workers are ready"))
	if _, stderr := m.tell(1, "why", "order-1"); !strings.Contains(stderr, `no gateway remembers the request "order-1"`) {
		t.Errorf("%q", stderr)
	}
	ids := map[string]bool{}
	for i := range 40 {
		id := fmt.Sprint("order-", i)
		ids[id] = true
		getAs(t, m.address(), id)
	}
	var all api.Decisions
	out, _ := m.tell(0, "gate", "history", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || all.Kept != 6 || len(all.Silent) != 0 {
		t.Fatalf("%v in %s", err, out)
	}
	by := map[int]int{}
	for _, d := range all.Decisions {
		by[d.Slot]++
		delete(ids, d.Request.ID)
	}
	if len(all.Decisions) > 6 || by[0] > 3 || by[1] > 3 || len(all.Decisions) < 3 {
		t.Errorf("by slot: %v", by)
	}
	last := all.Decisions[0].Request
	if last.ID != "order-39" || last.Chosen != a.address() || last.Status != 200 || last.Way != "least" || last.Tries[0].Outcome != decisions.Answered {
		t.Errorf("%+v", last)
	}
	if out, _ := m.tell(0, "why", last.ID); !strings.Contains(out, "picked "+a.address()+" by least: 1 of 1 members ready") {
		t.Errorf("%s", out)
	}
	for id := range ids {
		m.tell(1, "why", id)
		break
	}
	m.stop()
	m.ended(0)
}

// getAs sends a request with an X-Request-Id on a connection of its own.
func getAs(t *testing.T, address, id string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("X-Request-Id", id)
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 || res.Header.Get("X-Request-Id") != id {
		t.Errorf("%s, %q, %v", res.Status, res.Header.Get("X-Request-Id"), err)
	}
}

package master

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
)

// TestReadersWhileWorkersComeAndGo: readers look at the master from the start to after its end, while workers are replaced, killed
// and scaled away, and an app's scoreboard is unmapped and made anew. Each sees counts that never go back, and after an order its
// effect.
func TestReadersWhileWorkersComeAndGo(t *testing.T) {
	m := startMaster(t, nil)
	m.requests(20)
	ctx := bounded(t)
	var readers sync.WaitGroup
	sum := map[string]func() (uint64, error){
		"Status of the Supervisor": func() (n uint64, err error) {
			st, err := m.s.Status()
			for _, a := range st.Apps {
				for _, slot := range a.Totals {
					n += slot.Requests
				}
			}
			return n, err
		},
		"status of the control API": func() (n uint64, err error) {
			st, err := m.Status(ctx)
			for _, a := range st.Apps {
				for _, w := range a.Workers {
					n += w.Requests
				}
			}
			return n, err
		},
		"metrics": func() (n uint64, err error) {
			st, err := m.s.server.Measured().Snapshot(ctx)
			if err != nil {
				return 0, err
			}
			for _, a := range st.Apps {
				for _, slot := range a.Slots {
					n += slot.Totals.Requests
				}
			}
			return n, nil
		},
	}
	for name, requests := range sum {
		begun := make(chan struct{})
		readers.Go(func() {
			for before := uint64(0); ; {
				n, err := requests()
				if errors.Is(err, ErrEnded) {
					return
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				// What a slot has done that is scaled away is not in the control API's rows.
				if n < before && name != "status of the control API" {
					t.Errorf("%s: %d requests, and %d before", name, n, before)
				}
				if before == 0 {
					close(begun)
				}
				before = max(n, 1)
			}
		})
		<-begun
	}
	shows := func(workers int, state string) {
		t.Helper()
		if a := m.app("web"); a.State != state || a.Desired != workers || state == api.AppRunning && a.Ready != workers {
			t.Errorf("after the order: %s, %d of %d are ready", a.State, a.Ready, a.Desired)
		}
	}
	m.must(api.Order{Verb: api.VerbReload, App: "web"})
	shows(2, api.AppRunning)
	m.must(api.Order{Verb: api.VerbScale, App: "web", N: 4})
	shows(4, api.AppRunning)
	m.must(api.Order{Verb: api.VerbScale, App: "web", N: 1})
	shows(1, api.AppRunning)
	m.must(api.Order{Verb: api.VerbRestart, App: "web", Now: true})
	shows(1, api.AppRunning)
	m.must(api.Order{Verb: api.VerbStop, App: "web", Now: true})
	shows(1, api.AppStopped)
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
	shows(1, api.AppRunning)
	m.requests(5)
	if err := m.s.Scale("web", 3); err != nil {
		t.Fatal(err)
	}
	if st, err := m.s.Status(); err != nil || st.Apps[0].Wanted != 3 {
		t.Errorf("after Scale: %+v, %v", st, err)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if s, err := m.s.Snapshot(context.Background()); err == nil && !s.Stopping { // else it has ended already
		t.Error("after Stop it does not stop")
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	readers.Wait()
}

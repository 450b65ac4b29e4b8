package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
	"github.com/tinehq/tine/supervisor/values"
)

// toller is a master whose workers answer by their IDs what they have counted.
type toller struct {
	Master
	shown   *snapshot.Master
	answers map[uint64]func(context.Context) ([]byte, error)
	table   []byte
}

func (m *toller) Snapshot(context.Context) (*snapshot.Master, error) { return m.shown, nil }

func (m *toller) Value(context.Context, string) (values.Found, error) {
	return values.Found{Known: m.table != nil, Data: m.table}, nil
}

func (m *toller) Call(ctx context.Context, _ string, worker uint64, method string, _ []byte) ([]byte, error) {
	if method != tallies.Method {
		return nil, fmt.Errorf("called %s", method)
	}
	answer := m.answers[worker]
	return answer(ctx)
}

func picked(n int) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		return json.Marshal(tallies.Tally{
			Version: 1, Listed: 1, Ready: 1, Requests: tallies.Requests{Answered: [5]uint64{1: uint64(n)}},
			Members: []tallies.Member{{ID: "a", State: members.Ready, Weight: 1, Picks: uint64(n), InFlight: 1, Picked: true, Why: "ready"}},
		})
	}
}

func answersErr(err error) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return nil, err }
}

func silent(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }

func workersOf(ids ...int) (all []snapshot.Worker) {
	for i, id := range ids {
		all = append(all, snapshot.Worker{ID: pool.WorkerID(id), Slot: i})
	}
	return all
}

// TestGateways: what all workers of a gateway know is one sum, whose counts go on when a worker ends or is silent; a worker that is silent is
// named, after the bound and not later; an app that is no gateway is asked once.
func TestGateways(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		web := 0
		table, err := members.Encode(members.Table{Members: []members.Member{
			{ID: "a", Address: "h:1", Weight: 1, State: members.Ready}, {ID: "b", Address: "h:2", Weight: 1, State: members.Down, Why: "refused"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		m := &toller{
			shown: &snapshot.Master{
				Config: &config.Config{Apps: []config.App{{Name: "web"}, {Name: "gate", Gateway: &config.Gateway{}}, {Name: "idle", Gateway: &config.Gateway{}}}},
				Listed: []*snapshot.App{{Name: "web", Workers: workersOf(1)}, {Name: "gate", Workers: workersOf(2, 3)}, {Name: "old", Workers: workersOf(9)}, {Name: "idle"}},
			},
			answers: map[uint64]func(context.Context) ([]byte, error){
				1: func(context.Context) ([]byte, error) {
					web++
					return nil, fmt.Errorf("cannot call: %w", handle.NoHandler("no method"))
				},
				2: picked(10), 3: picked(20), 9: picked(3),
			},
			table: table,
		}
		m.answers[5] = answersErr(fmt.Errorf("cannot call: %w", handle.NoHandler("no method"))) // it has only just started
		m.shown.Listed[2].Workers = append(m.shown.Listed[2].Workers, snapshot.Worker{ID: 5, Slot: 1})
		m.shown.Listed[0].Workers[0].Ready = true
		c := New(m, Options{}).Commander()
		look := func(app string) map[string]tallies.Tally {
			t.Helper()
			all, err := c.Gateways(t.Context(), app)
			if err != nil {
				t.Fatal(err)
			}
			by := map[string]tallies.Tally{}
			for _, g := range all.Gateways {
				by[g.App] = g.Tally
			}
			for _, w := range all.Silent {
				by["silent"] = tallies.Tally{Listed: int(w.Worker)}
			}
			return by
		}
		by := look("")
		if len(by) != 3 || by["gate"].Members[0].Picks != 30 || by["gate"].Members[0].InFlight != 2 || by["old"].Members[0].Picks != 3 {
			t.Errorf("%+v", by)
		}
		if idle := by["idle"]; idle.Listed != 2 || idle.Ready != 1 || idle.Members[1].Why != "down: refused" || idle.Members[0].Picked {
			t.Errorf("%+v", idle)
		}

		m.answers[3] = silent
		before := time.Now()
		by = look("gate")
		if took := time.Since(before); took > tallyTime || len(by) != 2 || by["silent"].Listed != 3 || by["gate"].Members[0].Picks != 30 ||
			by["gate"].Members[0].InFlight != 1 {
			t.Errorf("after %v: %+v", took, by)
		}

		m.shown.Listed[1].Workers = workersOf(2, 4)
		m.answers[4] = picked(1)
		if by = look(""); by["gate"].Requests.Answered[1] != 31 || by["gate"].Members[0].Picks != 31 || len(by) != 3 {
			t.Errorf("%+v", by)
		}
		m.answers[4] = func(context.Context) ([]byte, error) { return []byte(`{"version":1,"members":[{}]}`), nil }
		if by = look(""); by["gate"].Members[0].Picks != 31 || by["silent"].Listed != 4 {
			t.Errorf("%+v", by)
		}
		m.shown.Listed[1].Workers = workersOf(2)
		if by = look(""); by["gate"].Members[0].Picks != 31 || by["silent"].Listed != 0 {
			t.Errorf("%+v", by)
		}
		m.answers[2] = answersErr(fmt.Errorf("cannot call: %w", handle.NoWorker("it is gone")))
		if by = look(""); by["gate"].Members[0].Picks != 31 || by["gate"].Members[0].InFlight != 0 || by["silent"].Listed != 2 {
			t.Errorf("%+v", by)
		}
		m.answers[5] = picked(7)
		if by = look(""); by["old"].Members[0].Picks != 10 {
			t.Errorf("what a worker tells that was not ready before: %+v", by)
		}
		if web != 1 {
			t.Errorf("the worker of an app that is no gateway was asked %d times", web)
		}
		if _, err := c.Gateways(t.Context(), "gat"); refusal(err) != http.StatusNotFound {
			t.Errorf("%v", err)
		}
	})
}

// TestGatewaysShare: callers that come while the workers are asked for another share one round of questions, which begins after they came.
func TestGatewaysShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rounds := 0
		m := &toller{
			shown: &snapshot.Master{Listed: []*snapshot.App{{Name: "gate", Workers: workersOf(1)}}},
			answers: map[uint64]func(context.Context) ([]byte, error){1: func(ctx context.Context) ([]byte, error) {
				rounds++
				<-time.After(10 * time.Millisecond)
				return picked(rounds)(ctx)
			}},
		}
		c := New(m, Options{}).Commander()
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * time.Millisecond)
				all, err := c.Gateways(t.Context(), "gate")
				if want := uint64(min(i, 1) + 1); err != nil || all.Gateways[0].Tally.Members[0].Picks != want {
					t.Errorf("caller %d got %+v, %v", i, all, err)
				}
			})
		}
		wg.Wait()
		if rounds != 2 {
			t.Errorf("%d rounds", rounds)
		}
	})
}

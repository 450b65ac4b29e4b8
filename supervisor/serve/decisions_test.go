package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// crowd is a master whose workers answer by their IDs.
type crowd struct {
	Master
	shown   *snapshot.Master
	answers map[uint64]func(ctx context.Context, in []byte) ([]byte, error)
}

func (c *crowd) Snapshot(context.Context) (*snapshot.Master, error) { return c.shown, nil }

func (c *crowd) Call(ctx context.Context, _ string, worker uint64, method string, in []byte) ([]byte, error) {
	if method != decisions.Method {
		return nil, fmt.Errorf("called %s", method)
	}
	return c.answers[worker](ctx, in)
}

func remembers(ids ...string) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, in []byte) ([]byte, error) {
		var q decisions.Query
		if err := json.Unmarshal(in, &q); err != nil {
			return nil, err
		}
		a := decisions.Answer{Kept: 10}
		for i, id := range ids {
			if q.ID == "" || q.ID == id {
				a.Decisions = append(a.Decisions, decisions.Decision{ID: id, At: time.Unix(int64(len(id)*100-i), 0)})
			}
		}
		return json.Marshal(a)
	}
}

func fails(err error) func(context.Context, []byte) ([]byte, error) {
	return func(context.Context, []byte) ([]byte, error) { return nil, err }
}

// TestDecisions: the newest of all workers of all gateways are told, and which worker did not answer; what is no gateway is passed over.
func TestDecisions(t *testing.T) {
	t.Parallel()
	worker := func(id, slot int) snapshot.Worker { return snapshot.Worker{ID: pool.WorkerID(id), Slot: slot} }
	m := &crowd{
		shown: &snapshot.Master{Listed: []*snapshot.App{
			{Name: "web", Workers: []snapshot.Worker{worker(1, 0), worker(2, -1)}},
			{Name: "gate", Workers: []snapshot.Worker{worker(3, 0), worker(4, 1), worker(5, 2), worker(6, 3)}},
		}},
		answers: map[uint64]func(context.Context, []byte) ([]byte, error){
			1: fails(fmt.Errorf("cannot call: %w", handle.NoHandler("no method"))),
			3: remembers("aaa", "bb"),
			4: remembers("cccc"),
			5: func(context.Context, []byte) ([]byte, error) { return []byte("{"), nil },
			6: fails(fmt.Errorf("cannot call: %w", handle.NoWorker("gone"))),
		},
	}
	c := commander{Master: m}
	all, err := c.Decisions(t.Context(), api.DecisionQuery{Last: 2})
	if err != nil || all.Kept != 20 || len(all.Decisions) != 2 || len(all.Silent) != 1 || all.Silent[0].Worker != 5 || all.Silent[0].App != "gate" {
		t.Fatalf("%+v, %v", all, err)
	}
	if d := all.Decisions[0]; d.Request.ID != "cccc" || d.App != "gate" || d.Slot != 1 || d.Worker != 4 || all.Decisions[1].Request.ID != "aaa" {
		t.Errorf("%+v", all.Decisions)
	}
	if all, err := c.Decisions(t.Context(), api.DecisionQuery{App: "gate", ID: "bb", Last: 10}); err != nil || len(all.Decisions) != 1 || all.Decisions[0].Worker != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := c.Decisions(t.Context(), api.DecisionQuery{App: "web"}); err != nil || all.Kept != 0 || len(all.Decisions)+len(all.Silent) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := c.Decisions(t.Context(), api.DecisionQuery{App: "gat"}); refusal(err) != http.StatusNotFound {
		t.Errorf("%v", err)
	}
}

// TestDecisionsWaitsOnce: workers that do not answer cost the bound once, and not each.
func TestDecisionsWaitsOnce(t *testing.T) {
	t.Parallel()
	m := &crowd{shown: &snapshot.Master{Listed: []*snapshot.App{{Name: "gate"}}}, answers: map[uint64]func(context.Context, []byte) ([]byte, error){}}
	for i := range uint64(3 * mostAsked) {
		m.shown.Listed[0].Workers = append(m.shown.Listed[0].Workers, snapshot.Worker{ID: pool.WorkerID(i)})
		m.answers[i] = func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as if the time were over
	all, err := (commander{Master: m}).Decisions(ctx, api.DecisionQuery{})
	if err != nil || len(all.Silent) != 3*mostAsked || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("%d are silent, %v", len(all.Silent), err)
	}
}

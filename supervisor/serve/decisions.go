package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
)

const (
	// decisionsTime bounds the wait for all workers.
	decisionsTime = time.Second
	// mostAsked bounds the workers that are asked at a time.
	mostAsked = 64
)

// Decisions asks all workers that can be called. One that is no gateway, or keeps no history, does not know the method: it is passed
// over.
func (c commander) Decisions(ctx context.Context, q api.DecisionQuery) (api.Decisions, error) {
	all := api.Decisions{}
	m, err := c.Master.Snapshot(ctx)
	if err != nil {
		return all, err
	}
	q.Last = min(max(q.Last, 1), api.MostDecisions)
	in, err := json.Marshal(decisions.Query{ID: q.ID, Last: q.Last})
	if err != nil {
		return all, fmt.Errorf("cannot ask for the history of gateways: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, decisionsTime)
	defer cancel()
	var names []string
	var mu sync.Mutex // of all
	var wg sync.WaitGroup
	places := make(chan struct{}, mostAsked)
	for _, a := range m.Listed {
		if names = append(names, a.Name); q.App != "" && q.App != a.Name {
			continue
		}
		for _, w := range a.Workers {
			if w.Slot < 0 {
				continue
			}
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				answer, err := c.history(ctx, a.Name, uint64(w.ID), in)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					all.Silent = append(all.Silent, api.SilentWorker{App: a.Name, Slot: w.Slot, Worker: uint64(w.ID), Why: err.Error()})
				}
				all.Kept += answer.Kept
				for _, d := range answer.Decisions {
					all.Decisions = append(all.Decisions, api.GateDecision{App: a.Name, Slot: w.Slot, Worker: uint64(w.ID), Request: d})
				}
			})
		}
	}
	wg.Wait()
	if q.App != "" && !slices.Contains(names, q.App) {
		return all, api.Unknown("app", q.App, names)
	}
	slices.SortFunc(all.Decisions, func(a, b api.GateDecision) int {
		return cmp.Or(b.Request.At.Compare(a.Request.At), cmp.Compare(a.Worker, b.Worker))
	})
	slices.SortFunc(all.Silent, func(a, b api.SilentWorker) int { return cmp.Compare(a.Worker, b.Worker) })
	all.Decisions = all.Decisions[:min(len(all.Decisions), q.Last)]
	return all, nil
}

// history is what one worker remembers: nothing, where it cannot be called or does not know the method.
func (c commander) history(ctx context.Context, app string, worker uint64, in []byte) (answer decisions.Answer, err error) {
	out, err := c.Master.Call(ctx, app, worker, decisions.Method, in)
	missing, unknown := handle.NoWorker(""), handle.NoHandler("")
	switch {
	case errors.As(err, &missing), errors.As(err, &unknown):
		return answer, nil
	case err != nil:
		return answer, err
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return decisions.Answer{}, fmt.Errorf("cannot read what it remembers: %w", err)
	}
	return answer, nil
}

// Package gateway is the worker of a gateway: a worker like any other, which answers no request itself but passes each on to a
// member.
//
//	master ── policy ────▶ assembly: route.Router, route.Pools, proxy.Proxy ◀── requests
//	       └─ table of members ─▶ Pools
//
// Both documents are cached values. A new table counts from the next request on, and so does a new policy: it makes a new assembly, and
// requests that are under way end with the one that they came to. Nothing is started again, and no request is lost by it.
//
//	gateway.go   Run: the worker
//	documents.go documents: takes each table and policy, in one goroutine
//	assembly.go  assembly: what a policy makes of requests
//	serve.go     what clients reach: listeners, server, tunnels
//	delivery.go  what of routing and delivering outlives a policy
//	living.go    living: the assemblies that have requests
//	failures.go  what is logged of requests
//	tally.go     what is counted of requests and members, for the master
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/worker"
)

// Options of a gateway's worker.
type Options struct {
	// Members is the key of the cached value that has the table; Policy is by what it treats requests then. "": the table and the policy
	// are those of the app that the worker is of.
	Members string
	Policy  policy.Policy
	Log     *slog.Logger
}

// gcPercent is the GOGC of a gateway's worker. What lives is small, so that garbage is collected some 30 times a second with 100, for 6 % of
// the CPU time; with 400 it takes some 10 MB more.
const gcPercent = 400

// Run serves until the worker's drain is over.
func Run(o Options) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	w, err := worker.Start(worker.WithLogger(o.Log))
	if err != nil {
		return fmt.Errorf("cannot serve as a gateway: %w", err)
	}
	if !w.Attached() {
		return errors.New("cannot serve as a gateway: the servers are known from a master; start it by tine gate, or as the command of an app")
	}
	d, err := newDocuments(w, o)
	if err != nil {
		return err
	}
	defer d.close()
	defer d.watch()()
	go d.run()
	go d.shared.delivery.run()
	w.Handle(decisions.Method, func(_ context.Context, in []byte) (any, error) {
		var q decisions.Query
		if err := json.Unmarshal(in, &q); err != nil {
			return nil, fmt.Errorf("cannot read which requests are wanted: %w", err)
		}
		return d.current().history.Find(q), nil
	})
	w.Handle(tallies.Method, func(ctx context.Context, _ []byte) (any, error) { return d.tally(ctx) })
	return d.serve()
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// socketIn is the control socket of a master whose folder is dir: in a folder of its
// own, because dir is open to other users.
func socketIn(dir string) string { return filepath.Join(dir, "control", "tine.sock") }

// TestVerbs runs the scripts in testdata/verbs against masters that only answer.
// Beside the commands of testscript they have
//
//	master NAME APP...    a master with these apps, until the end of the script
//	status N tine ARG...  which must end with status N
func TestVerbs(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/verbs",
		Setup: func(env *testscript.Env) error {
			// Short, because the paths of sockets are.
			dir, err := os.MkdirTemp("", "v-")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(dir) })
			env.Setenv("XDG_RUNTIME_DIR", dir)
			env.Setenv(claim.EnvWorld, dir+"/tine")
			env.Setenv("TINE_CONTROL", dir+"/tine/") // else what else runs on this machine is seen
			env.Setenv("XDG_STATE_HOME", dir)
			env.Setenv("XDG_CONFIG_HOME", dir)
			env.Setenv("TMPDIR", dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"master": func(ts *testscript.TestScript, _ bool, args []string) {
				path := filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "tine", args[0]+".sock")
				s := control.New(newActor(args[0], args[1:]), control.Options{Path: path, Logger: zerolog.Nop()})
				ts.Check(s.Listen())
				served := make(chan error, 1)
				go func() { served <- s.Serve() }()
				ts.Defer(func() {
					ts.Check(s.Close())
					ts.Check(<-served)
				})
			},
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				want := args[0]
				err := ts.Exec(args[1], args[2:]...)
				got := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					got = exit.ExitCode()
				}
				if fmt.Sprint(got) != want {
					ts.Fatalf("exit status %d, want %s: %v", got, want, err)
				}
			},
		},
	})
}

// actor is a master that only answers. It tells each order that it gets in the steps
// of its progress. An app whose name begins with bad does not become ready.
type actor struct {
	mu     sync.Mutex
	status api.Status
	values map[string]string
}

func newActor(name string, apps []string) *actor {
	a := &actor{values: map[string]string{"users": "50"}, status: api.Status{
		Version: "v1", PID: os.Getpid(), UptimeS: 3723, Name: name, Steering: "hash",
	}}
	for i, app := range apps {
		app, space, _ := strings.Cut(app, "@")
		if app == "gate" {
			a.values[policy.TableKey(app)] = `{"version":1,"members":[{"id":"web/0","type":"web","address":"/s","weight":1,"state":"ready","max_in_flight":8},
				{"id":"a:80","address":"a:80","weight":2,"state":"ready"},{"id":"b:80","address":"b:80","weight":1,"state":"down","why":"connection refused"},
				{"id":"new\u001b[2J:80","address":"new:80","weight":1,"state":"ready"}]}`
		}
		a.status.Apps = append(a.status.Apps, api.App{
			Name: app, Namespace: space, State: api.AppRunning, Generation: 1, Desired: 2, Ready: 1,
			Listen: []string{fmt.Sprintf("127.0.0.1:%d", 7000+i)}, Steering: "hash", Policy: "least",
			Workers: []api.Worker{
				{Slot: 0, ID: 1, PID: 4711, State: "ready", Generation: 1, UptimeS: 62, RSSBytes: 12 << 20, CPUPercent: 3, Requests: 1234567, P50MS: 1.25, P99MS: 42},
				{Slot: 1, State: "backoff", Restarts: 3, LastExit: "exit 1"},
			},
			RestartsTotal: 3, CrashesTotal: 3,
		})
	}
	return a
}

func (a *actor) Status(context.Context) (api.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.status
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for k := range a.values {
			if !yield(k) {
				return
			}
		}
	}) {
		source := "exec"
		if strings.HasPrefix(key, policy.Prefix) {
			source = "members"
		}
		st.Cache.Values = append(st.Cache.Values, api.CacheValue{Key: key, Epoch: 1, Bytes: len(a.values[key]), AgeS: 5, Source: source})
	}
	return st, nil
}

func (a *actor) Do(_ context.Context, o api.Order, progress func(api.Progress)) error {
	if o.Verb == api.VerbSignal && o.Signal == "SIGFOO" {
		return api.Refuse(http.StatusBadRequest, "there is no signal SIGFOO")
	}
	if o.Slot != nil && *o.Slot > 1 {
		return api.Refuse(http.StatusNotFound, "app %s has no slot %d", o.App, *o.Slot)
	}
	if o.Reason == "tine "+o.Verb { // the reason where the caller gives none
		o.Reason = ""
	}
	words, _ := json.Marshal(o)
	slot := 0
	progress(api.Progress{Time: time.Now(), App: o.App, Slot: &slot, PID: 4712, State: "starting", Message: "order " + o.Verb + " " + string(words), Total: 2})
	if strings.HasPrefix(o.App, "bad") {
		progress(api.Progress{Time: time.Now(), App: o.App, Final: true, Error: o.Verb + " of " + o.App + " aborted", Output: "no database\n\x1b[2Jbye\n"})
		return errors.New("aborted")
	}
	progress(api.Progress{Time: time.Now(), App: o.App, Slot: &slot, PID: 4712, State: "ready", Done: 1, Total: 2})
	return nil
}

func (a *actor) Events(_ context.Context, after uint64, _ bool, yield func(api.Event) error) error {
	slot := 1
	for id := after + 1; id <= 30; id++ {
		e := api.Event{ID: id, Time: time.Now(), Level: "info", Kind: "ready", App: a.status.Apps[int(id)%len(a.status.Apps)].Name, Slot: &slot, PID: int(100 + id)}
		if id == 30 {
			e.Level, e.Kind, e.Code, e.LastWords = "warn", "exited", 3, "no database"
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) Logs(_ context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	if strings.HasPrefix(q.Grep, "(") {
		return api.Refuse(http.StatusBadRequest, "cannot read the regular expression %q", q.Grep)
	}
	words, _ := json.Marshal(q)
	slot := 1
	for _, l := range []api.LogLine{
		{ID: 1, Time: time.Now(), App: "web", Slot: &slot, Stream: api.StreamStdout, Text: "query " + string(words)},
		{ID: 2, Time: time.Now(), App: "web", Slot: &slot, Stream: api.StreamStderr, Text: "raw \x1b[2J"},
		{ID: 3, Time: time.Now(), Stream: api.StreamMaster, Level: "info", Text: "all workers are ready"},
	} {
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) Value(_ context.Context, key string) ([]byte, api.CacheValue, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.values[key]
	if !ok {
		return nil, api.CacheValue{}, api.Unknown("cached value", key, []string{"users"})
	}
	return []byte(v), api.CacheValue{Key: key, Epoch: 7, Bytes: len(v), Source: "exec"}, nil
}

func (a *actor) SetValue(_ context.Context, key string, data []byte) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.values[key] = string(data)
	return 8, nil
}

func (a *actor) DrainMember(context.Context, api.MemberDrain) error { return nil }

func (a *actor) DeleteValue(_ context.Context, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.values, key)
	return nil
}

func (a *actor) Config(context.Context) ([]byte, error) { return []byte("apps: {}\n"), nil }

func (a *actor) Apply(context.Context, api.ApplyRequest) (api.ApplyResult, error) {
	return api.ApplyResult{Changes: []api.Change{}}, nil
}

// Decisions are those of a master with a gateway, where an app has that name: of the request r-1, which one member has refused.
func (a *actor) Decisions(_ context.Context, q api.DecisionQuery) (api.Decisions, error) {
	all := api.Decisions{}
	if !slices.ContainsFunc(a.status.Apps, func(a api.App) bool { return a.Name == "gate" }) {
		return all, nil
	}
	all.Kept = 1000
	all.Silent = []api.SilentWorker{{App: "gate", Slot: 1, Worker: 8, Why: "no answer"}}
	if q.ID == "" || q.ID == "r-1" {
		all.Decisions = []api.GateDecision{{App: "gate", Slot: 0, Worker: 7, Request: decisions.Decision{
			ID: "r-1", At: time.Unix(0, 0), Way: "score", Members: 3, Ready: 2, Chosen: "b:80", QueuedMS: 1.5, Picks: 2, Status: 200, TookMS: 12,
			Candidates: []decisions.Candidate{
				{ID: "a:80", State: members.Ready, Why: "it was tried for this request", InFlight: 2, MaxInFlight: 4},
				{ID: "b:80", State: members.Ready, Picks: true, Why: "ready", Score: 0.25, Cost: 1.25, Sent: 3, ReportAgeMS: 400, Stats: decisions.Stats{members.CPUIdle: 0.5}},
				{ID: "c:80", State: members.Down, Why: "down: connection refused"},
			},
			Tries: []decisions.Try{{Member: "a:80", Outcome: decisions.Refused, Why: "connection refused"}, {Member: "b:80", Outcome: decisions.Answered, TookMS: 9}},
		}}}
	}
	return all, nil
}

// Gateways are those of a master with a gateway, where an app has that name.
func (a *actor) Gateways(context.Context, string) (api.Gateways, error) {
	all := api.Gateways{}
	if !slices.ContainsFunc(a.status.Apps, func(a api.App) bool { return a.Name == "gate" }) {
		return all, nil
	}
	all.Silent = []api.SilentWorker{{App: "gate", Slot: 1, Worker: 8, Why: "no answer"}}
	all.Gateways = []api.Gateway{{App: "gate", Workers: 1, Tally: tallies.Tally{
		Version: 1, Listed: 3, Ready: 2, Requests: tallies.Requests{Answered: [5]uint64{1: 900, 4: 2}, Tries: 910, Resent: 8},
		Pools: []tallies.Pool{{Way: "least", Members: 3, Ready: 2, Queue: &tallies.Queue{Waiting: 5, State: "overloaded", Admitted: 40, Full: 2}}},
		Members: []tallies.Member{
			{ID: "web/0", Type: "web", State: members.Ready, Weight: 1, MaxInFlight: 8, Local: true, InFlight: 3, Picks: 500, PicksSecond: 12.25, LatencyMS: 4.5, Picked: true, Why: "ready"},
			{ID: "a:80", State: members.Ready, Weight: 2, InFlight: 1, Picks: 400, Failed: 3, PicksSecond: 9, ReportAgeMS: 420, Picked: true, Why: "not by 1 of 2 workers: it has refused 3 connections; for 80ms"},
			{ID: "b:80", State: members.Down, Weight: 1, Why: "down: connection refused"},
		},
	}}}
	return all, nil
}

func (a *actor) Call(context.Context, string, uint64, string, []byte) ([]byte, error) {
	return nil, api.Refuse(http.StatusNotImplemented, "it answers no calls")
}

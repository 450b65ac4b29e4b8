// Package gateway is the worker of a gateway: a worker like any other, which answers no request itself but passes each on to a
// member.
//
//	master ── table of members, a cached value ──▶ Run: gate.Picker, proxy.Proxy ◀── requests
//
// A new table counts from the next request on. Nothing is started again, and no request is lost by it.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// Options of a gateway's worker.
type Options struct {
	Members string // the key of the cached value that has the table
	Pick    string // one of gate.Ways; "": the default
	Key     string // what a way by key goes by: see ParseKey
	Bounded float64
	Retry   []int          // statuses of an answer with which a request is sent to another member
	Trusted []netip.Prefix // proxies before this one, which are believed
	History int            // how many requests are remembered; 0: none
	Log     *slog.Logger
}

const (
	// headTime bounds how long a client takes for the head of its request, and idleTime how long a connection is kept without one.
	headTime = 10 * time.Second
	idleTime = 75 * time.Second
	// mostHead bounds the head of a request, in bytes.
	mostHead = 64 << 10
)

// Check says what is wrong with o.
func Check(o Options) error {
	_, _, _, err := parts(o)
	return err
}

// parts are what passes requests on.
func parts(o Options) (*gate.Picker, *proxy.Proxy, *history.History, error) {
	key, err := ParseKey(o.Key)
	if err != nil {
		return nil, nil, nil, err
	}
	h, err := history.New(o.History)
	if err != nil {
		return nil, nil, nil, err
	}
	picker, err := gate.New(gate.Options{Way: o.Pick, Bounded: o.Bounded})
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := proxy.New(proxy.Options{Picker: picker, Key: key, RetryStatus: o.Retry, Trusted: o.Trusted, History: h, Log: (&failures{log: o.Log}).tell})
	return picker, p, h, err
}

// Run serves until the worker's drain is over.
func Run(o Options) error {
	picker, p, h, err := parts(o)
	if err != nil {
		return err
	}
	w, err := worker.Start(worker.WithLogger(o.Log))
	if err != nil {
		return fmt.Errorf("cannot serve as a gateway: %w", err)
	}
	defer p.Close()
	if !w.Attached() {
		return errors.New("cannot serve as a gateway: the servers are known from a master; start it by tine gate, or as the command of an app")
	}
	t := &tables{worker: w, picker: picker, log: o.Log, next: make(chan members.Table, 1)}
	err = errors.New("there is no such cached value")
	if now, ok := worker.Cached[[]byte](w, o.Members).Get(); ok { // before the first request
		err = t.decode(now, nil, t.take)
	}
	if err != nil {
		o.Log.Error("no member is known yet", "value", o.Members, "error", err)
	}
	defer w.Watch(o.Members, func(c worker.Change) {
		if c.Deleted {
			o.Log.Error("the members stay as they are: their cached value is gone", "value", o.Members)
			return
		}
		b, err := c.Bytes()
		if err := t.decode(b, err, t.put); err != nil {
			o.Log.Error("the members stay as they are", "value", o.Members, "error", err)
		}
	})()
	go t.run(picker.RefreshEvery())
	remember(w, h)
	return w.ServeServer(&http.Server{Handler: p, ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: mostHead})
}

// remember has the master ask for the history, unless there is none.
func remember(w *worker.Worker, h *history.History) {
	if h == nil {
		return
	}
	w.Handle(decisions.Method, func(_ context.Context, in []byte) (any, error) {
		var q decisions.Query
		if err := json.Unmarshal(in, &q); err != nil {
			return nil, fmt.Errorf("cannot read which requests are wanted: %w", err)
		}
		return h.Find(q), nil
	})
}

// tables gives the picker each table, and has it look at the time in between, in one goroutine.
type tables struct {
	worker *worker.Worker
	picker *gate.Picker
	log    *slog.Logger
	next   chan members.Table // the newest that the picker has not got
	before map[string]members.Member
}

func (t *tables) decode(b []byte, err error, give func(members.Table)) error {
	if err != nil {
		return err
	}
	table, err := members.Decode(b)
	if err == nil {
		give(table)
	}
	return err
}

// put leaves a table for run. One that has not been taken by then is old.
func (t *tables) put(table members.Table) {
	select {
	case <-t.next:
	default:
	}
	t.next <- table
}

func (t *tables) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case table := <-t.next:
			t.take(table)
		case <-tick.C:
			t.picker.Refresh(ipc.Monotonic())
		case <-t.worker.Done():
			return
		}
	}
}

func (t *tables) take(table members.Table) {
	t.picker.Update(table, ipc.Monotonic())
	t.tell(table)
}

// tell logs what has changed, once for all workers: the one in the first slot does.
func (t *tables) tell(table members.Table) {
	before := t.before
	t.before = make(map[string]members.Member, len(table.Members))
	for _, m := range table.Members {
		t.before[m.ID] = m
		if t.worker.Slot() != 0 {
			continue
		}
		old, known := before[m.ID]
		switch {
		case known && old.State == m.State, before == nil && m.State == members.Ready: // as all are, usually, at the start
		case m.State == members.Ready:
			t.log.Info("member is ready", "member", m.ID)
		default:
			t.log.Warn("member gets no request", "member", m.ID, "state", string(m.State), "why", m.Why)
		}
		delete(before, m.ID)
	}
	if t.worker.Slot() == 0 {
		for id := range before {
			t.log.Info("member is gone", "member", id)
		}
	}
}

// failures logs the requests that were not answered as they should, but not more of them than a log can take.
type failures struct {
	log *slog.Logger

	mu    sync.Mutex
	until time.Time // of the second in which told were told
	told  int
	more  int // were not
}

// mostFailures is how many are logged in a second.
const mostFailures = 10

func (f *failures) tell(a proxy.Access) {
	if a.Err == nil || a.Status == 0 { // the client has gone
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.After(f.until) {
		if f.more > 0 {
			f.log.Error("more requests have failed", "requests", f.more)
		}
		f.until, f.told, f.more = now.Add(time.Second), 0, 0
	}
	if f.told == mostFailures {
		f.more++
		return
	}
	f.told++
	f.log.Error("request failed", "id", a.ID, "status", a.Status, "member", a.Member, "tries", a.Tries, "took", a.Took.Round(time.Millisecond), "error", a.Err)
}

// ParseKey reads what ways by key go by: ip (the client's address), path, host, header:NAME, cookie:NAME or query:NAME. A request that
// has none goes by the client's address. "" is ip.
func ParseKey(text string) (func(*http.Request) string, error) {
	kind, name, named := strings.Cut(text, ":")
	var get func(*http.Request) string
	switch {
	case text == "" || text == "ip":
		return nil, nil // which is the default of package proxy
	case text == "path":
		get = func(r *http.Request) string { return r.URL.Path }
	case text == "host":
		get = func(r *http.Request) string { return r.Host }
	case named && name != "" && kind == "header":
		get = func(r *http.Request) string { return r.Header.Get(name) }
	case named && name != "" && kind == "query":
		get = func(r *http.Request) string { return r.URL.Query().Get(name) }
	case named && name != "" && kind == "cookie":
		get = func(r *http.Request) string {
			if c, err := r.Cookie(name); err == nil {
				return c.Value
			}
			return ""
		}
	default:
		return nil, fmt.Errorf("cannot pick by the key %q: ip, path, host, header:NAME, cookie:NAME or query:NAME is expected", text)
	}
	return get, nil
}

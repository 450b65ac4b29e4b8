package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/ipc/tallies"
	"github.com/tinehq/tine/worker"
	"github.com/tinehq/tine/worker/gate"
)

// documents has the newest table and policy be those that requests go by. One goroutine, run, changes it; requests read the assembly.
type documents struct {
	worker *worker.Worker
	log    *slog.Logger
	shared shared
	fixed  bool   // the policy does not come from the master
	key    string // of the value that has the table

	living   living
	tables   chan members.Table // the newest that was not taken
	policies chan policy.Policy
	table    members.Table
	before   map[string]members.Member
	last     []members.Member // of the table before, in its order
	paces    map[string]*pace // of the picks of members
	past     tallies.Tally    // what the queues of earlier policies have counted
	asked    chan chan<- tallies.Tally

	mu       sync.Mutex               // of counters
	counters map[string]*gate.Counter // by member
}

// newDocuments takes what there is, before the first request.
func newDocuments(w *worker.Worker, o Options) (*documents, error) {
	d := &documents{
		worker: w, log: o.Log, fixed: o.Members != "", key: o.Members, tables: make(chan members.Table, 1), policies: make(chan policy.Policy, 1),
		counters: map[string]*gate.Counter{}, paces: map[string]*pace{}, asked: make(chan chan<- tallies.Tally),
	}
	d.shared = shared{counters: d.counter, released: d.living.released, delivery: newDelivery(w, d.fixed, o.Log), counts: &counts{}, locals: &locals{book: w.Tickets}, failures: &failures{log: o.Log}, log: o.Log}
	p := o.Policy
	if !d.fixed {
		d.key = policy.TableKey(w.App())
		b, ok := await(w, policy.Key(w.App()), firstPolicy)
		if !ok {
			return nil, errors.New("cannot serve as a gateway: app " + w.App() + " has no gateway in its config")
		}
		var err error
		if p, err = policy.Decode(b); err != nil {
			return nil, err
		}
	}
	d.shared.tunnels = d.tunnelsOf(p.Edge)
	if err := d.adopt(p); err != nil {
		return nil, err
	}
	b, ok := await(w, d.key, firstTable)
	table, err := members.Decode(b)
	if !ok {
		err = errors.New("there is no such cached value")
	}
	if err != nil {
		d.log.Error("no member is known yet", "value", d.key, "error", err)
		return d, nil
	}
	d.take(table)
	return d, nil
}

const (
	// firstPolicy bounds the wait for a policy, and firstTable that for a table. When a config that brings a gateway is applied, its workers
	// may be there before them. The master gives the first table half a second after the policy at the latest.
	firstPolicy = 5 * time.Second
	firstTable  = 2 * time.Second
)

// await waits for a cached value that is not there yet.
func await(w *worker.Worker, key string, most time.Duration) ([]byte, bool) {
	value := worker.Cached[[]byte](w, key)
	if b, ok := value.Get(); ok {
		return b, true
	}
	changed := make(chan struct{}, 1)
	defer w.Watch(key, func(worker.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	late := time.NewTimer(most)
	defer late.Stop()
	for {
		select {
		case <-changed:
			if b, ok := value.Get(); ok {
				return b, true
			}
		case <-late.C:
			return value.Get()
		case <-w.Draining():
			return value.Get()
		}
	}
}

func (d *documents) current() *assembly { return d.living.now() }

// ServeHTTP passes a request on by the newest policy.
func (d *documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.living.serve(w, r)
}

func (d *documents) close() { d.living.close() }

// counter is what all pickers count of one member.
func (d *documents) counter(id string) *gate.Counter {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counters[id]
	if c == nil {
		c = new(gate.Counter)
		d.counters[id] = c
	}
	return c
}

// watch has each new document taken, until the returned func is called.
func (d *documents) watch() (stop func()) {
	of := func(key string, take func([]byte) error) func() {
		return d.worker.Watch(key, func(c worker.Change) {
			if c.Deleted {
				d.log.Error("the cached value is gone: what it said stays", "value", key)
				return
			}
			b, err := c.Bytes()
			if err == nil {
				err = take(b)
			}
			if err != nil {
				d.log.Error("the cached value cannot be used: what it said before stays", "value", key, "error", err)
			}
		})
	}
	table := of(d.key, func(b []byte) error { return put(d.tables, b, members.Decode) })
	if d.fixed {
		return table
	}
	rules := of(policy.Key(d.worker.App()), func(b []byte) error { return put(d.policies, b, policy.Decode) })
	return func() { table(); rules() }
}

// put leaves a document for run. One that has not been taken by then is old.
func put[T any](to chan T, b []byte, decode func([]byte) (T, error)) error {
	t, err := decode(b)
	if err != nil {
		return err
	}
	select {
	case <-to:
	default:
	}
	to <- t
	return nil
}

func (d *documents) run() {
	tick := time.NewTicker(gate.RefreshEvery)
	defer tick.Stop()
	for {
		select {
		case table := <-d.tables:
			d.take(table)
		case p := <-d.policies:
			if err := d.adopt(p); err != nil {
				d.log.Error("the policy stays as it was", "error", err)
			}
		case reply := <-d.asked:
			reply <- d.known(ipc.Monotonic())
		case <-tick.C:
			d.current().refresh()
			for _, a := range d.living.before() {
				a.refresh()
			}
			d.mark(ipc.Monotonic())
		case <-d.worker.Done():
			return
		}
	}
}

// adopt has requests go by a policy, from the next one on.
func (d *documents) adopt(p policy.Policy) error {
	before := d.current()
	if before != nil && reflect.DeepEqual(before.policy, p) {
		return nil // what was measured of members stays
	}
	next, err := assemble(p, d.shared, before)
	if err != nil {
		return err
	}
	next.update(d.table)
	d.living.begin(next)
	if before != nil {
		d.replaced(before)
		before.close()
	}
	return nil
}

// take has requests go to the members of a table.
func (d *documents) take(t members.Table) {
	d.last, d.table = d.table.Members, t
	d.current().update(t)
	for _, a := range d.living.before() {
		a.publish(t)
	}
	listed := make(map[string]members.Member, len(t.Members))
	for _, m := range t.Members {
		listed[m.ID] = m
	}
	d.mu.Lock()
	for id := range d.counters {
		if _, ok := listed[id]; !ok {
			delete(d.counters, id)
			delete(d.paces, id)
		}
	}
	d.mu.Unlock()
	if d.worker.Slot() == 0 {
		if d.fixed {
			d.tell(t, d.before)
		}
		d.tellMoved(t, d.before)
	}
	d.before = listed
}

// tellMoved logs how many keys go to another member now that the list of members is another one, by type.
func (d *documents) tellMoved(t members.Table, before map[string]members.Member) {
	same := len(before) == len(t.Members)
	types := map[string][2][]members.Member{}
	for _, m := range t.Members {
		_, known := before[m.ID]
		same = same && known
		lists := types[m.Type]
		lists[1] = append(lists[1], m)
		types[m.Type] = lists
	}
	if same || before == nil {
		return
	}
	for _, m := range d.last {
		lists := types[m.Type]
		lists[0] = append(lists[0], m)
		types[m.Type] = lists
	}
	a := d.current()
	for kind, lists := range types {
		picker := a.pools.Of(kind)
		if picker == nil {
			continue
		}
		way := picker.Way()
		if share, err := gate.Moved(gate.Options{Way: way, Signed: a.policy.Signed}, lists[0], lists[1]); err == nil && share > 0 {
			d.log.Info("keys have moved", "type", kind, "pick", way, "before", len(lists[0]), "members", len(lists[1]), "moved", fmt.Sprintf("%.1f%%", 100*share))
		}
	}
}

// tell logs what has changed, once for all workers: the one in the first slot does. Of a gateway that has its policy from the master, the
// master does.
func (d *documents) tell(t members.Table, before map[string]members.Member) {
	listed := make(map[string]bool, len(t.Members))
	for _, m := range t.Members {
		listed[m.ID] = true
		old, known := before[m.ID]
		switch {
		case known && old.State == m.State, before == nil && m.State == members.Ready: // as all are, usually, at the start
		case m.State == members.Ready:
			d.log.Info("member is ready", "member", m.ID)
		default:
			d.log.Warn("member gets no request", "member", m.ID, "state", string(m.State), "why", m.Why)
		}
	}
	for id := range before {
		if !listed[id] {
			d.log.Info("member is gone", "member", id)
		}
	}
}

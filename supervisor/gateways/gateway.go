package gateways

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/snapshot"
)

const (
	// mostEvents bounds the events that wait for a gateway's goroutine. What emits one more waits.
	mostEvents = 256
	// patience is how long the first table waits for sources that have not said anything yet, and longPatience where there is the table of
	// the last master, for those that have not listed.
	patience     = 500 * time.Millisecond
	longPatience = 5 * time.Second
)

// gateway is one gateway. Its table runs in a goroutine that owns the fleet and the sources.
type gateway struct {
	name     string
	see      func() *snapshot.Master
	log      *zerolog.Logger
	configs  chan config.Gateway // the newest that the table has not taken
	events   chan event
	pictures *bell
	table    table
}

// event is one of a source, or, where that is nil, of the gateway's workers or a person.
type event struct {
	of *running
	fleet.Event
	outcomes []byte // of a worker, instead of an Event; nil: there are none
}

func newGateway(name string, see func() *snapshot.Master, pictures *bell, log *zerolog.Logger) *gateway {
	g := &gateway{
		name: name, see: see, log: log, configs: make(chan config.Gateway, 1), events: make(chan event, mostEvents), pictures: pictures,
	}
	g.table.of = g
	return g
}

// use has the gateway be as a config has it, from soon on. It is called by one goroutine.
func (g *gateway) use(c config.Gateway) {
	select {
	case <-g.configs: // an older one
	default:
	}
	g.configs <- c
}

// table is the source of a gateway's table.
type table struct {
	of      *gateway
	fleet   *fleet.Fleet
	bounds  fleet.Options // of fleet
	running []*running
	wg      sync.WaitGroup
	newest  *members.Table // nil: there is none yet
	given   bool           // one was given
	resumes []byte         // the table of the last master, until it was taken over
	follows bool           // there was one
}

// running is a source that runs.
type running struct {
	spec
	source Source
	list   []members.Member // the newest that it has listed
	cancel context.CancelFunc
	heard  bool // it has said something, or says nothing by itself
	listed bool // likewise: it has listed members
}

// Source names it.
func (t *table) Source() string { return "members" }

// Run gives each table, until ctx is done. before is the table of the last master: the gateway's workers go by it until the sources have
// listed.
func (t *table) Run(ctx context.Context, before []byte, give func([]byte, error)) {
	defer t.wg.Wait()
	t.fleet = fleet.New(fleet.Options{})
	wait := patience
	if before != nil {
		wait, t.resumes = longPatience, before
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	waits := true
	for {
		if at := t.fleet.Deadline(); !at.IsZero() {
			tick.Reset(time.Until(at))
		} else {
			tick.Stop()
		}
		select {
		case c := <-t.of.configs:
			t.use(ctx, c)
		case e := <-t.of.events:
			t.hear(e)
		case <-tick.C:
			t.step(fleet.Tick{})
		case <-late.C:
			waits = false
		case <-ctx.Done():
			return
		}
		if t.newest != nil && (!waits || t.given || t.allHeard()) && !(len(t.newest.Members) == 0 && t.lacks()) {
			give(members.Encode(*t.newest))
			t.newest, t.given = nil, true
		}
	}
}

// allHeard reports whether each source has listed members once, or, in a table that goes on with none, has said why it cannot.
func (t *table) allHeard() bool {
	return !slices.ContainsFunc(t.running, func(r *running) bool { return !r.listed && !(r.heard && !t.follows) })
}

// lacks reports whether the workers go by the table of the last master and a source has not listed yet: an empty table would only say
// that its file or server cannot be read now.
func (t *table) lacks() bool {
	return t.follows && slices.ContainsFunc(t.running, func(r *running) bool { return !r.listed })
}

// use ends and begins sources, so that those of c run.
func (t *table) use(ctx context.Context, c config.Gateway) {
	if now := bounds(c); now != t.bounds {
		t.bounds = now
		t.fleet.Use(now)
	}
	if t.resumes != nil {
		t.follows = true
		if last, err := members.Decode(t.resumes); err == nil { // one that cannot be read is replaced
			t.step(fleet.Resumed{Table: last, Checked: wayOf(c.Check) != nil})
		}
		t.resumes, t.newest = nil, nil
	}
	before := t.running
	t.running = nil
	for _, s := range t.of.specs(c) {
		i := slices.IndexFunc(before, func(r *running) bool { return r != nil && r.name == s.name && r.with == s.with })
		if i >= 0 {
			t.running = append(t.running, before[i])
			before[i] = nil
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		r := &running{spec: s, source: s.make(), cancel: cancel, heard: s.sourceKind == asking, listed: s.sourceKind == asking}
		t.running = append(t.running, r)
		t.wg.Go(func() {
			defer cancel()
			r.source.Run(ctx, func(ev fleet.Event) {
				select {
				case t.of.events <- event{of: r, Event: ev}:
				case <-ctx.Done():
				}
			})
		})
	}
	for _, r := range before {
		if r == nil {
			continue
		}
		r.cancel()
		r.cancel = nil // what still comes of it does not count
		if !slices.ContainsFunc(t.running, func(now *running) bool { return now.name == r.name }) {
			t.step(fleet.Listed{Source: r.name}) // else the list stays until the source in its place has listed
		}
	}
	t.step(fleet.Tick{})
	if t.newest == nil && !t.given {
		t.newest = &members.Table{Version: members.Version, Members: []members.Member{}}
	}
}

// hear takes in an event.
func (t *table) hear(e event) {
	if e.outcomes != nil {
		t.hearOutcomes(e.outcomes)
		return
	}
	if r := e.of; r != nil {
		if r.cancel == nil {
			return // it has ended
		}
		r.heard = true
		switch ev := e.Event.(type) {
		case fleet.Listed:
			ev.Source = r.name
			e.Event, r.list, r.listed = ev, ev.Members, true
		case fleet.Silent:
			ev.Source = r.name
			e.Event = ev
		}
	}
	t.step(e.Event)
}

// hearOutcomes takes in how a worker says that requests went. Nothing of it is trusted but that it is said of requests: what is out of
// bounds is dropped, and so is what is of a member that is not known.
func (t *table) hearOutcomes(message []byte) {
	all, err := members.DecodeOutcomes(message)
	if err != nil {
		t.of.log.Warn().Str("gateway", t.of.name).Err(err).Msg("message of a worker dropped")
		return
	}
	for _, o := range all {
		ev := fleet.Outcome{ID: o.ID, Failed: o.Failed, Why: o.Why}
		if o.Answered {
			ev.Answered = 1
		}
		t.step(ev)
	}
}

// step gives the fleet an event and carries out what follows. The epoch of a table is left out: a value that is the same is not sent
// again.
func (t *table) step(ev fleet.Event) {
	for _, e := range t.fleet.Step(time.Now(), ev) {
		switch e := e.(type) {
		case fleet.Publish:
			e.Table.Epoch = 0
			t.newest = &e.Table
			t.follow()
		case fleet.Record:
			t.of.tell(e)
		}
	}
}

// follow tells the sources that ask members of those in the newest table whose own sources do not know how they are.
func (t *table) follow() {
	asked := map[string]bool{}
	for _, r := range t.running {
		if r.sourceKind == checked {
			for _, m := range r.list {
				asked[m.ID] = true
			}
		}
	}
	var all []members.Member
	for _, m := range t.newest.Members {
		if asked[m.ID] {
			all = append(all, m)
		}
	}
	for _, r := range t.running {
		if f, follows := r.source.(follower); follows {
			f.Update(all)
		}
	}
}

// tell logs what has happened to a member or a source.
func (g *gateway) tell(r fleet.Record) {
	level := zerolog.InfoLevel
	switch r.Kind {
	case fleet.KindDown, fleet.KindEjected, fleet.KindSpared, fleet.KindPanic, fleet.KindSilent, fleet.KindTwice, fleet.KindStale:
		level = zerolog.WarnLevel
	}
	e := g.log.WithLevel(level).Str("gateway", g.name)
	if r.ID != "" {
		e = e.Str("member", r.ID)
	}
	if r.Source != "" {
		e = e.Str("source", r.Source)
	}
	if r.Reason != "" {
		e = e.Str("reason", r.Reason)
	}
	text := "member " + r.Kind.String()
	if r.ID == "" {
		text = "members: " + r.Kind.String()
	}
	e.Msg(text)
}

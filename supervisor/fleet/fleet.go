package fleet

import (
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// Options are the bounds of a Fleet. The zero value has the defaults.
type Options struct {
	ReportAge time.Duration // a report counts for so long after it was received; default 3 s
	Failures  int           // so many failed requests in a row eject a member; default 5; below 0: none does
	Ejected   time.Duration // the first ejection lasts so long; default 10 s
	Longest   time.Duration // and the longest, default 5 min
	Fall      int           // so many checks in a row fail before a member is down; default 3
	Rise      int           // and pass before it is up again; default 2
	SlowStart time.Duration // a member that returns has its full weight after so long; 0: at once
	Panic     float64       // share of a type that must be left for ejections to count, 0 to 1; default 0.5; below 0: 0
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	or(&o.ReportAge, 3*time.Second)
	or(&o.Ejected, 10*time.Second)
	or(&o.Longest, 5*time.Minute)
	for _, n := range []struct {
		n *int
		v int
	}{{&o.Failures, 5}, {&o.Fall, 3}, {&o.Rise, 2}} {
		if *n.n == 0 {
			*n.n = n.v
		}
	}
	switch {
	case o.Panic < 0:
		o.Panic = 0
	case o.Panic == 0:
		o.Panic = 0.5
	}
	return o
}

// reportPace is the time between two tables of which only reports differ.
const reportPace = 100 * time.Millisecond

// Fleet is the state of all members. Its methods are called by one goroutine.
type Fleet struct {
	options Options
	sources []string // in the order in which they came first
	lists   map[string][]*member
	silent  map[string]bool
	members map[string]*member // by ID: those of the first source that lists it
	orders  map[string]string  // IDs that a person has drained, and why; they outlive a member's absence
	wasDown map[string]string  // IDs of members that were down in the table of Resumed and were not listed since, and why
	panics  map[string]bool    // types that are in panic
	epoch   uint64
	effects []Effect

	changed     bool      // a new table is due at once
	reported    bool      // one is due in the pace of reports
	publishedAt time.Time // of the newest
}

// New makes a Fleet without members.
func New(o Options) *Fleet {
	return &Fleet{
		options: o.withDefaults(), lists: map[string][]*member{}, silent: map[string]bool{}, members: map[string]*member{},
		orders: map[string]string{}, wasDown: map[string]string{}, panics: map[string]bool{},
	}
}

// Use has the bounds be these from now on. What has begun, as an ejection, ends as it was to.
func (f *Fleet) Use(o Options) {
	f.options = o.withDefaults()
	f.changed = true
}

// Step takes in an event and returns what is to be done. now does not go back.
func (f *Fleet) Step(now time.Time, ev Event) []Effect {
	f.effects = nil
	switch e := ev.(type) {
	case Listed:
		f.listed(now, e)
	case Resumed:
		for _, m := range e.Table.Members {
			if m.Drained != "" {
				f.orders[m.ID] = m.Drained
			}
			if m.State == members.Down && e.Checked {
				f.wasDown[m.ID] = m.Why
			}
		}
	case Silent:
		if !f.silent[e.Source] {
			f.silent[e.Source] = true
			f.record(Record{Kind: KindSilent, Source: e.Source, Reason: e.Why})
		}
	case Reported:
		if m := f.members[e.ID]; m != nil && e.Report.After(m.last) {
			m.last, m.report, m.reportUntil = &e.Report, &e.Report, now.Add(f.options.ReportAge)
			f.reported = true
		}
	case Checked:
		if m := f.members[e.ID]; m != nil {
			f.checked(now, m, e)
		}
	case Advised:
		if m := f.members[e.ID]; m != nil {
			f.advised(now, m, e)
		}
	case Outcome:
		if m := f.members[e.ID]; m != nil {
			f.outcome(now, m, e)
		}
	case Drain:
		f.drain(e)
	case Tick:
	default:
		panic("fleet: an event that no one acts on")
	}
	f.passTime(now)
	f.publish(now)
	return f.effects
}

// Deadline is when a Tick is wanted; zero: at no time.
func (f *Fleet) Deadline() time.Time {
	var at time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if f.reported {
		earliest(f.publishedAt.Add(reportPace))
	}
	for _, m := range f.members {
		if m.report != nil {
			earliest(m.reportUntil)
		}
		earliest(m.next)
	}
	return at
}

// passTime does what a time has come for.
func (f *Fleet) passTime(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(f.members)) {
		m := f.members[id]
		if m.report != nil && !now.Before(m.reportUntil) {
			m.report, f.changed = nil, true
			f.record(Record{Kind: KindStale, ID: m.ID, Reason: "no report for " + f.options.ReportAge.String()})
		}
		if m.next.IsZero() || now.Before(m.next) {
			continue
		}
		f.changed = true
		if m.health == ejected {
			f.record(Record{Kind: KindReturned, ID: m.ID, Reason: "its time is over"})
			f.comesBack(now, m)
		} else {
			m.rampUp(now, f.options.SlowStart)
		}
	}
}

// listed takes over the complete list of a source.
func (f *Fleet) listed(now time.Time, e Listed) {
	if !slices.Contains(f.sources, e.Source) {
		f.sources = append(f.sources, e.Source)
	}
	if f.silent[e.Source] {
		delete(f.silent, e.Source)
		f.record(Record{Kind: KindHeard, Source: e.Source})
	}
	before := f.lists[e.Source]
	var list []*member
	for _, told := range e.Members {
		i := slices.IndexFunc(before, func(m *member) bool { return m.ID == told.ID })
		m := &member{}
		if i >= 0 {
			m = before[i] // what is known of it stays
		}
		if slices.Contains(list, m) || slices.ContainsFunc(list, func(m *member) bool { return m.ID == told.ID }) {
			f.record(Record{Kind: KindTwice, ID: told.ID, Source: e.Source, Reason: "its source lists it twice; the first one counts"})
			continue
		}
		m.Member, m.source = told, e.Source
		if r := told.Report; r != nil && r.After(m.last) {
			m.last, m.report, m.reportUntil = r, r, now.Add(f.options.ReportAge)
		}
		m.Report = nil
		list = append(list, m)
	}
	f.lists[e.Source] = list
	f.gather()
	f.changed = true
}

// gather makes the members anew of the lists of all sources.
func (f *Fleet) gather() {
	before := f.members
	f.members = map[string]*member{}
	for _, source := range f.sources {
		for _, m := range f.lists[source] {
			if first := f.members[m.ID]; first != nil {
				if !m.second {
					m.second = true
					f.record(Record{Kind: KindTwice, ID: m.ID, Source: m.source, Reason: "source " + first.source + " lists it too, and counts"})
				}
				continue
			}
			m.second = false
			f.members[m.ID] = m
		}
	}
	for _, m := range f.inOrder() {
		if before[m.ID] == nil {
			if why, was := f.wasDown[m.ID]; was && m.State == members.Ready {
				m.health, m.why = down, why
			}
			delete(f.wasDown, m.ID)
			f.record(Record{Kind: KindJoined, ID: m.ID, Source: m.source})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if f.members[id] == nil {
			f.record(Record{Kind: KindLeft, ID: id, Source: before[id].source})
		}
	}
}

// inOrder are the members in the order of their sources and lists.
func (f *Fleet) inOrder() (all []*member) {
	for _, source := range f.sources {
		for _, m := range f.lists[source] {
			if f.members[m.ID] == m {
				all = append(all, m)
			}
		}
	}
	return all
}

func (f *Fleet) drain(e Drain) {
	_, drained := f.orders[e.ID]
	switch {
	case e.Undo && drained:
		delete(f.orders, e.ID)
		f.record(Record{Kind: KindUndrained, ID: e.ID, Reason: e.Reason})
	case !e.Undo && !drained:
		f.orders[e.ID] = e.Reason
		f.record(Record{Kind: KindDrained, ID: e.ID, Reason: e.Reason})
	default:
		return
	}
	f.changed = true
}

// publish orders a new table, if one is due.
func (f *Fleet) publish(now time.Time) {
	if !f.changed && !(f.reported && !now.Before(f.publishedAt.Add(reportPace))) {
		return
	}
	f.changed, f.reported, f.publishedAt = false, false, now
	f.epoch++
	t := members.Table{Version: members.Version, Epoch: f.epoch, Members: []members.Member{}}
	panics := f.panicking()
	for _, m := range f.inOrder() {
		t.Members = append(t.Members, m.shown(now, f, panics[m.Type]))
	}
	f.effects = append(f.effects, Publish{t})
}

func (f *Fleet) record(r Record) { f.effects = append(f.effects, r) }

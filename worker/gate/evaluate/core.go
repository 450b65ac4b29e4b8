package evaluate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// Mode is when members are asked.
type Mode string

// The modes.
const (
	OnRequest  Mode = "on-request"
	Continuous Mode = "continuous"
)

// NoneError is the error where no member has sent its statistics, now or ever.
type NoneError struct {
	Why []string // of each member, in the order of the table
}

func (e *NoneError) Error() string {
	if len(e.Why) == 0 {
		return "no server has sent its statistics: none is known"
	}
	return "no server has sent its statistics: " + strings.Join(e.Why, "; ")
}

// The events of the core. Times are nanoseconds of ipc.Monotonic.
type (
	listed   struct{ table members.Table } // from the master; it must not be changed any more
	wanted   struct{}                      // a request has come that no valid result is there for
	answered struct {                      // how a question has ended
		id     string
		report members.Report
		err    error
	}
	tick struct{} // the time of deadline has come, or a later one
)

// The effects.
type (
	ask     struct{ member members.Member } // and answered is told of it, within requestTimeout
	publish struct{ table members.Table }   // is what is picked from
	wake    struct {                        // all requests that wait go on, or fail with err
		err   error
		until int64 // so long the result counts for requests to come
	}
	told struct { // one line for the log
		warn bool
		text string
		id   string // of a member; "": it is about all
		why  string
	}
)

// core is one evaluation after another. It does nothing itself: step returns what is to be done.
type core struct {
	mode           Mode
	requestTimeout int64
	validTimeout   int64 // of continuous: the interval

	table    members.Table
	members  map[string]*peer
	sequence uint64 // of reports

	passing bool  // a pass is under way
	began   int64 // when it did, or the last one; 0: there was none
	next    int64 // of continuous: when the next one begins

	result int64 // when the last pass ended in which somebody had answered; 0: there was none
	until  int64 // so long it counts
	stale  bool  // that it is too old was told

	effects []any
}

// peer is one member, as far as its answers go.
type peer struct {
	asking bool   // a question is under way, and
	asked  int64  // since when
	silent bool   // it did not answer the last one: it is not waited for
	heard  int64  // when it answered last; 0: it has not
	in     bool   // of the last result
	why    string // it did not answer
	report members.Report
}

// forever is until a result counts that counts until another one comes.
const forever = int64(1<<63 - 1)

// step takes in an event, at now, which never goes back.
func (c *core) step(now int64, event any) []any {
	c.effects = nil
	switch e := event.(type) {
	case listed:
		c.list(e.table)
		c.publish()
		if c.mode == Continuous && c.result == 0 && !c.passing {
			c.next = now // the first pass does not wait for the beat
		}
	case wanted:
		switch {
		case c.passing:
		case now < c.until:
			c.effects = append(c.effects, wake{until: c.until})
		case c.mode == OnRequest:
			c.begin(now)
		case c.began != 0: // the last pass has come to nothing, as all before it
			c.effects = append(c.effects, wake{err: &NoneError{c.reasons()}})
		}
	case answered:
		c.answer(now, e)
	}
	if c.passing && (c.complete() || now >= c.began+c.requestTimeout) {
		c.end(now)
	}
	if c.mode == Continuous && now >= c.next && len(c.table.Members) > 0 {
		if c.passing {
			c.end(now) // one that is late must not delay the next one
		}
		c.next = now - (now-c.next)%c.validTimeout + c.validTimeout
		c.begin(now)
	}
	return c.effects
}

// deadline is when the core wants a tick; forever: never.
func (c *core) deadline() int64 {
	at := forever
	if c.passing {
		at = c.began + c.requestTimeout
	}
	if c.mode == Continuous && len(c.table.Members) > 0 {
		at = min(at, c.next)
	}
	return at
}

func (c *core) list(table members.Table) {
	before := c.members
	c.table, c.members = table, make(map[string]*peer, len(table.Members))
	for i := range table.Members {
		id := table.Members[i].ID
		c.members[id] = cmp.Or(before[id], &peer{why: "it was not asked yet"})
	}
}

// takesPart reports whether m is asked at all.
func takesPart(m *members.Member) bool { return m.State == members.Ready && m.Weight > 0 }

func (c *core) begin(now int64) {
	c.passing, c.began = true, now
	for i := range c.table.Members {
		m := &c.table.Members[i]
		p := c.members[m.ID]
		if !takesPart(m) {
			continue
		}
		if !p.asking {
			p.asking, p.asked = true, now
			c.effects = append(c.effects, ask{*m})
		}
	}
	if c.complete() {
		c.end(now)
	}
}

func (c *core) answer(now int64, e answered) {
	p := c.members[e.id]
	if p == nil || !p.asking {
		return // it is not in the table any more
	}
	p.asking = false
	if e.err != nil {
		c.fell(e.id, p, e.err.Error())
		return
	}
	c.sequence++
	p.heard, p.report = now, members.Report{Epoch: 1, Sequence: c.sequence, ReceivedAt: now, Hold: e.report.Hold, Stats: e.report.Stats}
	if p.silent {
		c.effects = append(c.effects, told{text: "server sends its statistics again", id: e.id})
	}
	p.silent, p.why = false, ""
}

// fell notes that a member is not waited for any more.
func (c *core) fell(id string, p *peer, why string) {
	if p.why = why; !p.silent {
		p.silent = true
		c.effects = append(c.effects, told{warn: true, text: "server does not send its statistics: it is left out, and asked again beside", id: id, why: why})
	}
}

// complete reports whether the pass has nobody to wait for: no live member owes an answer, and somebody has answered or nobody can.
func (c *core) complete() bool {
	some, open := false, false
	for i := range c.table.Members {
		m := &c.table.Members[i]
		p := c.members[m.ID]
		if !takesPart(m) {
			continue
		}
		if p.asking && !p.silent {
			return false
		}
		some, open = some || p.heard >= c.began, open || p.asking
	}
	return some || !open
}

// end makes a result of the pass, if somebody has answered. One that is being asked for less than requestTimeout, as the beat has ended
// the pass, counts with its last answer.
func (c *core) end(now int64) {
	c.passing = false
	some := false
	for i := range c.table.Members {
		m := &c.table.Members[i]
		p := c.members[m.ID]
		if !takesPart(m) {
			continue
		}
		if p.asking && !p.silent && now-p.asked >= c.requestTimeout {
			c.fell(m.ID, p, "no answer in "+time.Duration(c.requestTimeout).String())
		}
		some = some || p.heard != 0 && !p.silent
	}
	if some {
		for i := range c.table.Members {
			p := c.members[c.table.Members[i].ID]
			p.in = p.heard != 0 && !p.silent
		}
		c.result = now
		c.publish()
	}
	c.tellAge(now)
	w := wake{until: c.result + c.validTimeout}
	switch {
	case c.result == 0:
		w.err, w.until = &NoneError{c.reasons()}, 0
	case c.mode == Continuous:
		w.until = forever
	case !some:
		w.until = 0 // the next request asks again
	}
	c.until = w.until
	c.effects = append(c.effects, w)
}

// staleAfter is after how many intervals the age of a result is told. On request an interval is requestTimeout.
const staleAfter = 3

// tellAge tells once that the result is old, and once that it is not any more.
func (c *core) tellAge(now int64) {
	age, interval := now-c.result, c.requestTimeout
	if c.mode == Continuous {
		interval = c.validTimeout
	}
	stale := c.result != 0 && age > staleAfter*interval
	if stale == c.stale {
		return
	}
	c.stale = stale
	if stale {
		c.effects = append(c.effects, told{warn: true, text: "servers are picked by an old evaluation: none sends its statistics", why: time.Duration(age).Round(time.Millisecond).String() + " old"})
	} else {
		c.effects = append(c.effects, told{text: "servers are picked by a new evaluation"})
	}
}

// reasons are why each member is left out.
func (c *core) reasons() (all []string) {
	for i := range c.table.Members {
		m := &c.table.Members[i]
		why := c.members[m.ID].why
		if !takesPart(m) {
			why = cmp.Or(m.Why, string(m.State))
			if m.State == members.Ready {
				why = "its weight is 0"
			}
		}
		all = append(all, m.ID+": "+why)
	}
	return all
}

// publish shows the table with what the last result says of each member. Before the first one all are left out.
func (c *core) publish() {
	t := c.table
	t.Members = slices.Clone(t.Members)
	for i := range t.Members {
		m := &t.Members[i]
		p := c.members[m.ID]
		switch {
		case !takesPart(m):
		case p.in:
			r := p.report
			m.Report = &r
		default:
			m.Report, m.Aside = nil, "it is left out of the evaluation: "+cmp.Or(p.why, "it has answered too late")
		}
	}
	c.effects = append(c.effects, publish{t})
}

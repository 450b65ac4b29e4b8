package fleet

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// health is what checks and requests say of a member.
type health uint8

const (
	healthy   health = iota
	down             // its checks fail
	ejected          // its requests failed
	returning        // it is healthy again, and its weight grows
)

// member is one member, and what is known of it beside what its source says.
type member struct {
	members.Member
	source string
	second bool // another source has it too, which counts; that was told

	health   health
	why      string    // of a health that is down or ejected
	next     time.Time // of an ejection: its end; of a return: the next step of the weight; zero: neither
	returned time.Time // when the last return began

	failures  int       // of requests, in a row
	ejections int       // that followed soon upon each other
	wrong     int       // checks that failed in a row
	right     int       // checks that passed in a row
	spared    bool      // it was to be ejected and is the last of its type; that was told
	ejectedAt time.Time // when the last ejection began

	advice advice

	last        *members.Report // to tell the order of reports
	report      *members.Report // that counts; nil: none does
	reportUntil time.Time
}

// checked takes in an active check, which always counts.
func (f *Fleet) checked(now time.Time, m *member, e Checked) {
	if e.OK {
		m.wrong, m.right = 0, m.right+1
		if m.health == down && m.right >= f.options.Rise {
			f.record(Record{Kind: KindUp, ID: m.ID, Reason: fmt.Sprintf("%d checks passed", m.right)})
			f.comesBack(now, m)
			f.changed = true
		}
		return
	}
	m.wrong, m.right = m.wrong+1, 0
	if m.health != down && m.wrong >= f.options.Fall {
		m.health, m.why, m.next = down, fmt.Sprintf("%d checks failed: %s", m.wrong, e.Why), time.Time{}
		f.record(Record{Kind: KindDown, ID: m.ID, Reason: m.why})
		f.changed = true
	}
}

// comesBack begins the return of a member.
func (f *Fleet) comesBack(now time.Time, m *member) {
	m.health, m.why, m.failures, m.returned = returning, "", 0, now
	m.rampUp(now, f.options.SlowStart)
}

const rampSteps = 10

// rampUp goes on with a return: the weight grows in tenths.
func (m *member) rampUp(now time.Time, slow time.Duration) {
	if now.Sub(m.returned) >= slow {
		m.health, m.next = healthy, time.Time{}
		return
	}
	step := max(slow/rampSteps, 1)
	m.next = m.returned.Add((now.Sub(m.returned)/step + 1) * step)
}

// outcome takes in how requests went.
func (f *Fleet) outcome(now time.Time, m *member, e Outcome) {
	if e.Answered > 0 {
		f.changed = f.changed || m.spared // the table says so
		m.failures, m.spared = 0, false
	}
	m.failures += e.Failed
	if f.options.Failures < 0 || m.failures < f.options.Failures || m.health == down || m.health == ejected {
		return
	}
	why := fmt.Sprintf("%d requests in a row failed: %s", m.failures, e.Why)
	if !f.othersOf(m) {
		if !m.spared {
			m.spared, f.changed = true, true
			f.record(Record{Kind: KindSpared, ID: m.ID, Reason: why + "; it is the last of its type, and is not ejected"})
		}
		return
	}
	if now.Sub(m.ejectedAt) > 2*f.options.Longest {
		m.ejections = 0
	}
	lasts := f.options.Ejected
	for range m.ejections {
		lasts = min(2*lasts, f.options.Longest)
	}
	m.ejections++
	m.health, m.why, m.ejectedAt, m.next = ejected, why, now, now.Add(lasts)
	f.record(Record{Kind: KindEjected, ID: m.ID, Reason: fmt.Sprintf("%s; for %s", why, lasts)})
	f.changed = true
}

// othersOf reports whether a request could go to another member of m's type.
func (f *Fleet) othersOf(m *member) bool {
	for _, o := range f.members {
		if o != m && o.Type == m.Type && f.could(o) && o.health != ejected {
			return true
		}
	}
	return false
}

// could reports whether a member would be picked if it were not ejected.
func (f *Fleet) could(m *member) bool {
	_, drained := f.orders[m.ID]
	return m.State == members.Ready && m.Weight > 0 && !drained && m.health != down && m.advice.allows()
}

// panicking are the types of which so many are ejected that ejections do not count, with how many are left of how many: less than
// the share of Options, or none, as others may have gone since.
func (f *Fleet) panicking() map[string]string {
	left, all := map[string]int{}, map[string]int{}
	for _, m := range f.members {
		if f.could(m) {
			all[m.Type]++
			if m.health != ejected {
				left[m.Type]++
			}
		}
	}
	texts := map[string]string{}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		if left[kind] == all[kind] || left[kind] > 0 && float64(left[kind]) >= f.options.Panic*float64(all[kind]) {
			continue
		}
		texts[kind] = fmt.Sprintf("panic: %d of %d left, ejections do not count", left[kind], all[kind])
		if !f.panics[kind] {
			f.panics[kind] = true
			f.record(Record{Kind: KindPanic, Source: kind, Reason: texts[kind]})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(f.panics)) {
		if texts[kind] == "" {
			delete(f.panics, kind)
			f.record(Record{Kind: KindCalm, Source: kind})
		}
	}
	return texts
}

// shown is the member as the table has it: what its source says, what a person or its agent wants and its health, in this order of
// weight: down before draining before ejected.
func (m *member) shown(now time.Time, f *Fleet, panics string) members.Member {
	s := m.Member
	s.Report = m.report
	m.advice.apply(&s)
	order, drained := f.orders[m.ID]
	s.Drained = order
	switch {
	case s.State == members.Down:
	case m.health == down:
		s.State, s.Why = members.Down, m.why
	case m.advice.state() == members.Down:
		s.State, s.Why = members.Down, m.advice.reason()
	case drained:
		s.State, s.Why = members.Draining, order
	case m.advice.state() == members.Draining && s.State == members.Ready:
		s.State, s.Why = members.Draining, m.advice.reason()
	case s.State != members.Ready:
	case m.health == ejected && panics == "":
		s.State, s.Why = members.Ejected, fmt.Sprintf("until %s: %s", m.next.Format(time.TimeOnly), m.why)
	case m.health == ejected:
		s.Why = panics
	case m.health == returning && f.options.SlowStart > 0:
		passed := float64(now.Sub(m.returned)) / float64(f.options.SlowStart)
		share := min(max(passed, 1.0/rampSteps), 1)
		s.Weight *= share
		s.Why = fmt.Sprintf("slow start: %.0f %% of its weight", 100*share)
	case m.spared:
		s.Why = fmt.Sprintf("%d requests in a row failed; it is the last of its type", m.failures)
	}
	return s
}

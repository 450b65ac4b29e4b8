package launch

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

// Releases are the generations of one app by number: what its workers run, and what can be started again. Whatever starts another
// worker of a generation - a crash, a scale, a standby, a drained slot that is filled again, a later master - starts its release. Only
// [Releases.Take] and [Releases.Renew] make a generation of what is on disk. A rollback is a rollout to the release before.
//
//	byNumber: 3, 4, 5        Take(5)              Done(5)
//	   │     │   └─ new ◀──── a rollout begins      │
//	   │     └─ current ─────────────────────────── becomes previous
//	   └─ dropped, as no slot starts it again
//
// The files of a generation are held until nothing can start it any more. One goroutine owns a Releases. No method waits for a disk.
type Releases struct {
	pins     *Pins
	byNumber map[int]*Generation
	current  *Generation // of the last rollout that was done; nil: there was none
	previous *Generation // whose release was the one before; nil: none is remembered
	until    time.Time   // when that was replaced
	backTo   *Generation // of a rollback that is queued; nil: none is
}

// NewReleases are those of an app that has not been started: its first generation is g.
func NewReleases(p *Pins, number int, g *Generation) *Releases {
	return &Releases{pins: p, byNumber: map[int]*Generation{number: g}}
}

// Remembered is what of an app's releases outlives its master.
type Remembered struct {
	ByNumber map[int]*Generation
	Previous *Generation // nil: none
	Until    time.Time   // when that was replaced; zero: not known
	BackTo   *Generation // of a rollback that is queued; nil: none is
}

// RestoreReleases are those that an earlier master has left. New workers are of the generation running. The map is the Releases' from
// here on.
func RestoreReleases(p *Pins, m Remembered, running int) *Releases {
	r := &Releases{pins: p, byNumber: m.ByNumber, current: m.ByNumber[running], previous: m.Previous, backTo: m.BackTo}
	if r.previous != nil {
		r.until = m.Until
	}
	return r
}

// Remembered is what the next master needs. The map is not to be written to.
func (r *Releases) Remembered() Remembered {
	return Remembered{r.byNumber, r.previous, r.until, r.backTo}
}

// Pins are those that the files of the releases are held by.
func (r *Releases) Pins() *Pins { return r.pins }

// Of is the generation of that number; nil: there is none.
func (r *Releases) Of(number int) *Generation { return r.byNumber[number] }

// Held are all generations that can be started again, each once, in no order.
func (r *Releases) Held() iter.Seq[*Generation] {
	all := map[*Generation]bool{}
	for _, g := range r.byNumber {
		all[g] = true
	}
	for _, g := range []*Generation{r.current, r.previous, r.backTo} {
		if g != nil {
			all[g] = true
		}
	}
	return maps.Keys(all)
}

// change runs f, and drops the generations that nothing can start any more after it.
func (r *Releases) change(f func()) {
	before := r.Held()
	f()
	after := slices.Collect(r.Held())
	for g := range before {
		if !slices.Contains(after, g) {
			g.Drop(r.pins)
		}
	}
}

// Take makes the generation that a rollout of c takes, and forgets those that used does not report. A generation that is there stays:
// the rollout was begun below an earlier master. running is the number of what runs. back: it is the release that a rollback goes back
// to.
func (r *Releases) Take(number, running int, c config.App, back bool, used func(number int) bool) {
	r.change(func() {
		r.current = r.byNumber[running]
		maps.DeleteFunc(r.byNumber, func(n int, _ *Generation) bool { return n != number && n != running && !used(n) })
		if r.byNumber[number] != nil {
			return
		}
		g := New(c)
		if back {
			for _, old := range []*Generation{r.backTo, r.previous, r.current} {
				if old != nil {
					g = old.Again(r.pins)
					break
				}
			}
			r.backTo = nil
		}
		r.byNumber[number] = g
	})
}

// Done notes at now that a rollout is done, and remembers the release that it has replaced. A rollout to the same release changes
// nothing.
func (r *Releases) Done(number int, now time.Time) {
	g := r.byNumber[number]
	if g == nil || g == r.current {
		return
	}
	r.change(func() {
		// What an earlier version of Tine has begun may not be known.
		if old := r.current; old != nil && old.Resolved.Load() != nil && old.Resolved.Load().Command.ProgramID != nil && !SameRelease(old, g) {
			r.previous, r.until = old, now
		}
		r.current = g
	})
}

// Before is the release that a rollback goes back to while the generation of that number runs, or while a rollout to the next one is
// under way; nil: there is none.
func (r *Releases) Before(running int, rolling bool) *Generation {
	to := r.previous
	if rolling {
		to = r.byNumber[running]
	}
	if to == nil || to.Resolved.Load() == nil {
		return nil
	}
	return to
}

// QueueBack has the rollback that begins next go back to what Before returns now.
func (r *Releases) QueueBack(running int, rolling bool) {
	r.change(func() { r.backTo = r.Before(running, rolling) })
}

// HasPrevious reports whether the release before is remembered.
func (r *Releases) HasPrevious() bool { return r.previous != nil }

// Renew has the generation of that number made anew of what is on disk: nothing of it was started yet.
func (r *Releases) Renew(number int, c config.App) {
	r.change(func() { r.byNumber[number] = New(c) })
}

// Renumber gives the only generation of an app that was not started yet another number, and c for its config.
func (r *Releases) Renumber(from, to int, c config.App) {
	g := r.byNumber[from]
	g.Config = c
	r.byNumber = map[int]*Generation{to: g}
}

// Inherit takes over what is remembered of the app's run before.
func (r *Releases) Inherit(old *Releases) {
	r.previous, r.until, old.previous = old.previous, old.until, nil
}

// Close gives up the files of all but the release before: the app has ended, and a start looks all up anew. What was started is still
// known.
func (r *Releases) Close() {
	for g := range r.Held() {
		if g != r.previous {
			g.Drop(r.pins)
		}
	}
}

// Forget gives up those of the release before too, unless a later run of the app has inherited it.
func (r *Releases) Forget() {
	if r.previous != nil {
		r.previous.Drop(r.pins)
	}
}

// Hold opens the files of the releases that are not held: the last master could not hold them, or its store has lost them. Each is
// opened in a goroutine that start runs, as it may be on a disk that hangs.
func (r *Releases) Hold(start func(func())) {
	for g := range r.Held() {
		if g.Resolved.Load() != nil && !g.Pinned() {
			start(func() { g.Hold(r.pins) })
		}
	}
}

// Mark tells Releases from themselves before a change that a later master has to know of: it is compared by ==.
type Mark struct {
	generations      int
	previous, backTo *Generation
	until            time.Time
	newest           [3]marked // that workers are of, or will be
}

type marked struct {
	number   int
	is       *Generation
	resolved *Recipe
}

// Mark is the mark of what there is now.
func (r *Releases) Mark() Mark {
	m := Mark{generations: len(r.byNumber), previous: r.previous, backTo: r.backTo, until: r.until}
	for n, g := range r.byNumber {
		is := marked{n, g, g.Resolved.Load()}
		for i := range m.newest {
			if is.number >= m.newest[i].number {
				is, m.newest[i] = m.newest[i], is
			}
		}
	}
	return m
}

// Partial says that there are more generations than a Mark has room for: an equal one may be of others.
func (m Mark) Partial() bool { return m.generations > len(m.newest) }

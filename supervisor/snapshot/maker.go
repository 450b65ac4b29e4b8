package snapshot

import (
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/cache"
)

const (
	// cheap is what making a Master may take without a pause after it.
	cheap = 100 * time.Microsecond
	// part bounds the share of the loop's time that it takes to make them: one that took longer than cheap is followed by a pause of
	// so many times that, unless a reader waits for the next.
	part = 20
	// longestPause bounds that pause, and so the wait of a reader that comes when no turn follows.
	longestPause = 20 * time.Millisecond
)

// Source is the loop as a Maker sees it. A is what the loop has of one app.
type Source[A any] interface {
	// Head makes a Master but for its Values, Apps and Listed.
	Head() *Master
	// Apps are all that the loop has, in the order of the config. They are only read.
	Apps() []A
	// Listed are those of the apps that are shown to people, in their order.
	Listed() []A
	// Draw makes the part of one app, which shares nothing that changes with it; nil: the app is not among Apps yet.
	Draw(a A) *App
}

// Drawn is what a Maker keeps with an app of the loop. The zero Drawn is of an app that no Master has.
type Drawn struct {
	app     *App
	touched bool // it has changed since
}

// Subject is an app of the loop: it has a Drawn of its own, always the same.
type Subject interface {
	comparable
	Drawn() *Drawn
}

// Maker makes the Masters of a loop at the ends of its turns, and publishes them. The loop alone calls its methods.
type Maker[A Subject] struct {
	to     *Published
	source Source[A]
	values *cache.Values

	touched []A       // have changed since the last Master, each once
	stale   bool      // something else has
	of      []A       // all apps, as they are in the last
	drawn   []*Drawn  // of each of them: asked for when the apps are others, as hundreds of calls would count in each turn
	epoch   uint64    // of the values in the last
	listed  []*Drawn  // of those of them that are shown
	relist  bool      // which of the apps are listed may have changed
	due     time.Time // of the next one, while one is owed; zero: now
}

// NewMaker makes a Maker that has published nothing.
func NewMaker[A Subject](to *Published, source Source[A], values *cache.Values) *Maker[A] {
	return &Maker[A]{to: to, source: source, values: values, stale: true}
}

// Stale says that something has changed that belongs to no app.
func (k *Maker[A]) Stale() { k.stale = true }

// Touch says that an app has changed.
func (k *Maker[A]) Touch(a A) {
	if d := a.Drawn(); !d.touched {
		d.touched = true
		k.touched = append(k.touched, a)
	}
}

// owed reports whether the newest Master lacks something.
func (k *Maker[A]) owed() bool {
	return k.stale || len(k.touched) > 0 || k.values.Touched() || k.epoch != k.values.Epoch() || !slices.Equal(k.of, k.source.Apps())
}

// EndTurn ends a turn of the loop: it publishes a new Master, if something has changed, and lets the readers go on that wait. After one
// that took long to make it may leave the next one due for a while: then it reports true, and readers that come now wait until
// Deadline. now: the next one is made all the same.
func (k *Maker[A]) EndTurn(now bool) (later bool) {
	if k.owed() {
		began := time.Now()
		if !now && began.Before(k.due) && !k.to.Wanted() {
			return true
		}
		k.to.Publish(k.next())
		k.due = time.Time{}
		if took := time.Since(began); took > cheap {
			k.due = began.Add(took + min(took*part, longestPause))
		}
	}
	k.to.End()
	return false
}

// Deadline is when a Master that is owed is due; zero: none is, or it is at the end of this turn.
func (k *Maker[A]) Deadline() time.Time {
	if !k.owed() {
		return time.Time{}
	}
	return k.due
}

// next makes a Master. The parts of apps that have not changed are those of the one before.
func (k *Maker[A]) next() *Master {
	for _, a := range k.touched {
		d := a.Drawn()
		d.touched = false
		if now := k.source.Draw(a); now != nil {
			k.relist = k.relist || d.app == nil || d.app.Ended != now.Ended || d.app.Goes != now.Goes
			d.app = now
		}
	}
	k.touched = k.touched[:0]
	m, all := k.source.Head(), k.source.Apps()
	if others := !slices.Equal(k.of, all); others || k.relist || k.to.Newest() == nil {
		if others {
			k.of, k.drawn = append(k.of[:0], all...), k.drawn[:0]
			for _, a := range all {
				d := a.Drawn()
				if d.app == nil {
					d.app = k.source.Draw(a)
				}
				k.drawn = append(k.drawn, d)
			}
		}
		k.listed = k.listed[:0]
		for _, a := range k.source.Listed() {
			k.listed = append(k.listed, a.Drawn())
		}
	}
	m.Values, m.Apps, m.Listed = k.values.Known(), partsOf(k.drawn), partsOf(k.listed)
	k.epoch, k.stale, k.relist = k.values.Epoch(), false, false
	return m
}

func partsOf(drawn []*Drawn) []*App {
	all := make([]*App, len(drawn))
	for i, d := range drawn {
		all[i] = d.app
	}
	return all
}

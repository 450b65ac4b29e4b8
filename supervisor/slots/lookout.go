package slots

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/supervisor/listen"
)

// That workers are ready says nothing of whether a client can reach them: the file of a Unix-domain socket is removed, an
// interface loses its address. So the addresses are looked at from where clients come, see [listen.Set.Look], and a socket that
// has lost its file is made again.

// renewEvery is the time between two attempts to make a socket again, as long as the same is in the way.
const renewEvery = 3 * time.Second

// lookout looks at the addresses of one app.
type lookout struct {
	busy   atomic.Bool    // a look is under way, whose the next three are
	found  []listen.Sight // by the look before
	seen   []listen.Sight // the same, with what came of the attempts to make sockets again
	failed time.Time      // when a socket could not be made again

	told []listen.Sight // what Tell was given last; for the owner of the Sockets
}

// Looked is what has changed at the addresses of an app since the look before. It goes to Install, or else to Close.
type Looked struct {
	seen    []listen.Sight
	renewed []Renewal
	Lost    []int // slots whose inner socket is to be made again: see listen.Set.LookInner
}

// Renewal is a socket that was made again, in the place of one that clients could not reach for a reason.
type Renewal struct {
	*listen.Renewal
	Why string
}

// Close gives up the sockets that were made again.
func (k Looked) Close() {
	for _, r := range k.renewed {
		r.Close()
	}
}

// StartLook looks at the addresses in a goroutine that start begins, and posts what has changed. It does nothing while the look
// before is under way. post may wait; false: the caller has ended, and does not take the Looked.
func (s *Sockets) StartLook(start func(func()), post func(Looked) bool) {
	o := &s.lookout
	if !o.busy.CompareAndSwap(false, true) {
		return
	}
	start(func() {
		defer o.busy.Store(false)
		if k, news := o.look(s.Set, time.Now()); news && !post(k) {
			k.Close()
		}
	})
}

// eyes are the part of a [listen.Set] that a look needs.
type eyes interface {
	Look(before []listen.Sight) []listen.Sight
	LookInner() []int
	Renew(index int) (*listen.Renewal, error)
}

// look sees what there is, and makes again what is lost. news: it is not what the look before has seen.
func (o *lookout) look(by eyes, now time.Time) (k Looked, news bool) {
	before, found := o.seen, o.found
	seen := by.Look(before)
	o.found = slices.Clone(seen)
	k.Lost = by.LookInner()
	for i := range seen {
		sight := &seen[i]
		if !sight.Lost {
			continue
		}
		if i < len(found) && i < len(before) && sight.Same(found[i]) && now.Sub(o.failed) < renewEvery {
			sight.Why = before[i].Why
			continue
		}
		r, err := by.Renew(i)
		if err != nil {
			sight.Why, o.failed = fmt.Sprintf("%s: %v", sight.Why, err), now
			continue
		}
		k.renewed = append(k.renewed, Renewal{r, sight.Why})
		*sight = listen.Sight{Address: sight.Address}
	}
	if len(k.renewed) == 0 && slices.Equal(seen, before) {
		k.seen = before
		return k, len(k.Lost) > 0
	}
	o.seen, k.seen = seen, slices.Clone(seen)
	return k, true
}

// Install puts the sockets that were made again in the place of those that cannot be reached. What it returns tells whose workers are
// to be replaced.
func (s *Sockets) Install(k Looked) (mended []listen.Mended) {
	for _, r := range k.renewed {
		if m, ok := s.Set.Install(r.Renewal, r.Why); ok {
			mended = append(mended, m)
		}
	}
	return mended
}

// Reach is a change at one address. The empty Why: it is reachable again; else it is unreachable, for another reason than before.
type Reach struct {
	Address listen.Address
	Why     string
}

// Tell takes a Looked as what is known of the addresses, and returns the changes that are to be told.
func (s *Sockets) Tell(k Looked) (changes []Reach) {
	before := s.lookout.told
	s.lookout.told = k.seen
	for i, now := range k.seen {
		was := ""
		if i < len(before) {
			was = before[i].Why
		}
		if now.Why != was {
			changes = append(changes, Reach{now.Address, now.Why})
		}
	}
	return changes
}

// Sights are what was told of the addresses last, in the order of [listen.Set.Addresses]; nil before the first look. They are not to be
// written to.
func (s *Sockets) Sights() []listen.Sight { return s.lookout.told }

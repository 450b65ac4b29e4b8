package orders

import (
	"errors"
	"net/http"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// beginScale changes the number of workers and waits until the new ones are ready, or those too many are gone with their slots.
func (b *Book) beginScale(o *order, a App) error {
	if err := b.mustRun(o, a); err != nil {
		return err
	}
	o.before = a.Pool.Wanted()
	n := o.N
	if o.By {
		n += o.before
	}
	if n < 0 || n > pool.MaxSlots {
		return api.WrongField("n", "app %s can have 0 to %d workers, not %d", a.Name, pool.MaxSlots, n)
	}
	o.total = n
	b.enter(o, scaling)
	b.emit(Pool{a.ID, pool.Scale{N: n}})
	return nil
}

func (b *Book) judgeScaling(o *order, a App) outcome {
	if now := a.Pool.Wanted(); now != o.total && !a.ended() {
		return o.isCancelled("app %s was scaled to %d meanwhile", a.Name, now)
	}
	v := b.judgeReady(o, a)
	if v.as == done && a.Pool.Slots() != o.total {
		return outcome{}
	}
	return v
}

// beginDrain takes the worker out of one slot. It is done when the slot is empty.
func (b *Book) beginDrain(o *order, a App) error {
	if err := b.mustRun(o, a); err != nil {
		return err
	}
	if o.Slot == nil {
		return api.WrongField("slot", "say which slot of app %s to drain; to take all of them, stop the app", a.Name)
	}
	for n := range a.Pool.Wanted() {
		if s, _ := a.Pool.Slot(n); n != *o.Slot && s.Ready {
			b.empty(o, "drain")
			return nil
		}
	}
	return api.Refuse(http.StatusConflict, "slot %d is the only one of app %s that serves: stop the app, or scale it first", *o.Slot, a.Name)
}

// restartSlot empties a slot and then fills it.
func (b *Book) restartSlot(o *order, a App) error {
	if err := b.mustRun(o, a); err != nil {
		return err
	}
	b.empty(o, "restart")
	if o.Now {
		b.emit(Kill{o.app, *o.Slot})
	}
	return nil
}

func (b *Book) empty(o *order, word string) {
	o.total = 1
	b.enter(o, emptying)
	b.emit(Pool{o.app, pool.Hold{Slot: *o.Slot, Reason: o.because(word)}})
}

func (b *Book) judgeEmptying(o *order, a App) outcome {
	s, there := a.Pool.Slot(*o.Slot)
	switch {
	case a.ended():
		return outcome{cancelled, errors.New("the app has ended meanwhile")}
	case o.Verb == api.VerbDrain && !s.Held:
		return o.isCancelled("slot %d of app %s was given a worker again meanwhile", *o.Slot, a.Name)
	case there && s.Workers > 0:
		return outcome{}
	case o.Verb == api.VerbDrain:
		return outcome{as: done}
	}
	b.fill(o, a)
	return outcome{}
}

// fill ends the hold of a slot; the order then waits for its worker.
func (b *Book) fill(o *order, a App) {
	o.total = a.Pool.Wanted() // of these the steps say how many are ready
	b.enter(o, filling)
	b.refill(o)
}

func (b *Book) refill(o *order) { b.emit(Pool{o.app, pool.Release{Slot: *o.Slot}}) }

func (b *Book) judgeFilling(o *order, a App) outcome {
	if *o.Slot >= a.Pool.Wanted() {
		return o.isCancelled("slot %d of app %s was scaled away meanwhile", *o.Slot, a.Name)
	}
	s, _ := a.Pool.Slot(*o.Slot)
	if !a.ended() && !s.Held && (s.Ready || s.Finished) {
		return outcome{as: done}
	}
	if v := b.judgeReady(o, a); v.err != nil || a.ended() {
		return v
	}
	if s.Held {
		return o.isCancelled("slot %d of app %s was drained meanwhile", *o.Slot, a.Name)
	}
	return outcome{}
}

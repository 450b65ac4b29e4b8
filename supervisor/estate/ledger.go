package estate

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/wake"
)

// The record is large, and a step changes one slot of one app. So a step appends what it has changed to the record as a patch,
// and the whole is written anew when the patches have become as long as it is, and a moment after the first patch: then a
// master of a version that knows no patches, or none of this kind, finds nearly all.
//
//	blob: all │ part of app 7: slot 3 │ app 3, which is new │ part of app 7: slot 4 │ app 9 is gone │ ...
//
// What a step costs does not depend on how many apps there are, nor on how many slots an app has. Of an app of which more has
// changed than slots and workers, all is written: see base. Histograms are in the whole, and in what tells all of an app.

const (
	// leastPatches is what the patches may take in bytes, however small the whole is.
	leastPatches = 64 << 10
	// patchedFor bounds how long the whole lags behind.
	patchedFor = 2 * time.Second
	// mostDelayed bounds the messages of the loop that the record lags behind.
	mostDelayed = 256
)

// ledger writes the record. It knows what the record has, and so what has to be written; a document is made only to be written.
type ledger struct {
	file   *os.File       // the memory of the record
	record *record.Record // nil: it could not be opened

	pages map[*crew.App]*page
	order []*crew.App                    // all apps, as the pages have their places
	dirty []*page                        // each once
	gone  []int                          // keys of apps that the record has and must not have any more
	sets  map[*crew.Sockets]listen.Saved // what the record has of sockets

	due     bool      // the record lags behind
	delayed int       // messages since it last did not
	torn    bool      // what is written next is the whole
	size    int       // of the whole when it was written last, in bytes
	wholeBy time.Time // when the whole is written next; zero: there is no patch
	work    Work

	config   json.RawMessage // what the record is to have of the config
	configOf *config.Config  // what the loop's was when that was made
	written  *byte           // where the config begins that the record has; nil: it has none
}

// page is what the ledger knows of one app. A new one has nothing written.
type page struct {
	app     *crew.App
	place   int                        // among all apps; -1: it is not among them yet
	dirty   bool                       // something may differ from what the record has
	all     bool                       // and that is known to be more than slots and workers
	base    base                       // what the record has
	workers map[pool.WorkerID]struct{} // that are new, or differ, or are gone
}

// Work counts what was encoded for the record.
type Work struct {
	Writes  int // wholes and patches
	Bytes   int // of both
	Patched int // bytes of patches
}

// of returns the page of an app.
func (l *ledger) of(a *crew.App) *page {
	p := l.pages[a]
	if p == nil {
		p = &page{app: a, place: -1, all: true, workers: map[pool.WorkerID]struct{}{}}
		l.pages[a] = p
	}
	return p
}

// touch has the next write look at what has changed of an app.
func (l *ledger) touch(a *crew.App) *page {
	p := l.of(a)
	if !p.dirty {
		p.dirty = true
		l.dirty = append(l.dirty, p)
	}
	return p
}

// arrange gives the pages their places. An app that has moved among the others moves those after it too.
func (l *ledger) arrange(apps []*crew.App) {
	if slices.Equal(l.order, apps) {
		return
	}
	l.order = append(l.order[:0], apps...)
	old := maps.Clone(l.pages)
	for i, a := range apps {
		delete(old, a)
		if p := l.of(a); p.place != i {
			p.place = i
			l.touch(a)
		}
	}
	for a, p := range old { // it is gone, or not there yet
		if p.base.kind != notSaved {
			l.gone = append(l.gone, a.Key)
		}
		delete(l.pages, a)
	}
	l.dirty = slices.DeleteFunc(l.dirty, func(p *page) bool { return l.pages[p.app] != p })
}

// changed are the pages that are to be written, in order.
func (l *ledger) changed(whole bool) []*page {
	if whole {
		for _, a := range l.order {
			l.touch(a).all = true
		}
		l.gone, l.sets, l.written = nil, map[*crew.Sockets]listen.Saved{}, nil
	}
	slices.SortFunc(l.dirty, func(p, q *page) int { return p.place - q.place })
	for len(l.dirty) > 0 && l.dirty[0].place < 0 { // touched before it is among the apps: its page will be a new one
		delete(l.pages, l.dirty[0].app)
		l.dirty = l.dirty[1:]
	}
	return l.dirty
}

// isDue reports whether the record is to be written before the loop takes the next message; more says that there is one. A burst of
// messages is written at its end.
func (l *ledger) isDue(more bool) bool {
	if l.due && (!more || l.delayed > mostDelayed) {
		l.delayed = 0
		return true
	}
	l.delayed++
	return false
}

// tooLong reports whether the patches are as long as a whole.
func (l *ledger) tooLong() bool { return l.torn || l.record.Patched() > max(l.size, leastPatches) }

// write writes p, which is all that was changed.
func (l *ledger) write(p succession.Patch, whole bool) error {
	var blob []byte
	var err error
	if whole {
		if blob, err = json.Marshal(p.State); err == nil {
			err = l.record.Write(blob)
		}
		l.size, l.wholeBy = len(blob), time.Time{}
	} else {
		if blob, err = json.Marshal(p); err == nil {
			err = l.record.Append(blob)
		}
		if l.wholeBy.IsZero() {
			l.wholeBy = time.Now().Add(patchedFor)
		}
		l.work.Patched += len(blob)
	}
	l.work.Writes++
	l.work.Bytes += len(blob)
	l.torn = err != nil
	return err
}

// openRecord makes the record, or takes over the one that the last master has left: what was in it is read then. Without a store there is
// neither.
func (e *Estate) openRecord() (before *succession.State, err error) {
	l := e.ledger
	if l == nil {
		return nil, nil
	}
	if files := e.inherited[succession.StateFile]; len(files) > 0 {
		l.file = files[0]
		if l.record, err = record.Open(l.file); err != nil {
			return nil, err
		}
		state, err := succession.Read(l.record)
		return &state, err
	}
	f, err := record.Memory("tine state")
	if err != nil {
		return nil, err
	}
	if l.record, err = record.New(f); err != nil {
		return nil, err
	}
	l.file = f
	e.Store(succession.StateFile, f)
	return nil, nil
}

// reopen goes on with the memory of a record that another master may have written to, or made unusable. The next write is a whole.
func (l *ledger) reopen() (err error) {
	l.due, l.torn = true, true
	if l.record, err = record.Open(l.file); err != nil {
		l.record, err = record.New(l.file)
	}
	return err
}

// part makes what the record is to be told of the dirty pages, which are clean from here on.
func (e *Estate) part(changed []*page) (p succession.Patch) {
	l, now := e.ledger, time.Now()
	p.State = e.savedHead()
	if c := e.savedConfig(); l.written != &c[0] {
		p.Config, l.written = c, &c[0]
	}
	seen := map[*crew.Sockets]bool{}
	for _, page := range changed {
		a := page.app
		is := e.baseOf(page)
		all := page.all || is != page.base || is.generations > len(is.newest)
		if page.base.kind != notSaved && is.kind == notSaved {
			l.gone = append(l.gone, a.Key)
		}
		page.base, page.dirty, page.all = is, false, false
		if is.kind == running && !seen[a.Sockets] {
			seen[a.Sockets] = true
			set := a.Sockets.Save()
			if old, written := l.sets[a.Sockets]; all || !written || !sameSet(set, old) {
				l.sets[a.Sockets] = set
				p.Sockets = append(p.Sockets, succession.Sockets{Key: a.Sockets.Key, Set: set})
			}
		}
		part, ok := succession.Part{}, false
		if is.kind == running && !all {
			part, ok = page.part(now)
		}
		switch {
		case ok:
			p.Parts = append(p.Parts, part)
		case is.kind == running:
			p.Apps = append(p.Apps, page.running(now))
		case is.kind == ended:
			p.Ended = append(p.Ended, page.ended(now))
		}
		clear(page.workers)
		clear(a.History.Changed)
	}
	p.Gone, l.gone, l.dirty = l.gone, nil, l.dirty[:0]
	return p
}

// Changed has the next write tell all of an app. What an order does to an app is marked by it. Like Touched and TouchedWorker, it also
// has the next picture have a new part for the app.
func (e *Estate) Changed(a *crew.App) {
	e.Touched(a)
	if e.ledger != nil {
		e.ledger.of(a).all = true
	}
}

// Touched has the next write look at what has changed of an app.
func (e *Estate) Touched(a *crew.App) {
	e.loop.Show(a)
	if e.ledger != nil {
		e.ledger.touch(a)
	}
}

// TouchedWorker has the next write tell of a worker.
func (e *Estate) TouchedWorker(m *crew.Worker) {
	e.loop.Show(m.App)
	if e.ledger != nil {
		e.ledger.touch(m.App).workers[m.ID] = struct{}{}
	}
}

// SaveAll writes the whole record.
func (e *Estate) SaveAll() { e.save(true) }

// SaveChanged writes what has changed. It precedes the effects of a step, so that no worker exists that the record does
// not know of.
func (e *Estate) SaveChanged() { e.save(false) }

// SaveSoon has what has changed written when the loop has no more messages: what is counted, and who was greeted. The loop calls
// SaveInTime for that after each message.
func (e *Estate) SaveSoon() {
	if e.ledger != nil {
		e.ledger.due = true
	}
}

// SaveAllSoon has the whole written then.
func (e *Estate) SaveAllSoon() {
	if e.ledger != nil {
		e.ledger.due, e.ledger.torn = true, true
	}
}

// SaveInTime writes what SaveSoon was called for. more says that the loop has another message.
func (e *Estate) SaveInTime(more bool) {
	if e.ledger != nil && e.ledger.isDue(more) {
		e.SaveChanged()
	}
}

func (e *Estate) save(whole bool) {
	l := e.ledger
	if l == nil || l.record == nil {
		return
	}
	l.due = false
	l.arrange(e.loop.Apps())
	whole = whole || l.tooLong()
	changed := l.changed(whole)
	for _, p := range changed {
		if !p.app.Ended() {
			e.stored.storeSockets(p.app.Sockets)
		}
	}
	wholeBy := l.wholeBy
	err := l.write(e.part(changed), whole)
	if l.wholeBy != wholeBy {
		e.loop.Rearm()
	}
	e.StoreFailed(succession.StateFile, err)
}

// Work tells what was encoded for the record so far.
func (e *Estate) Work() Work { return e.ledger.work }

// Deadline is when Tick has something to do; zero: at no time.
func (e *Estate) Deadline() time.Time {
	if e.ledger == nil {
		return time.Time{}
	}
	return wake.Earliest(e.ledger.wholeBy, e.stored.room.next())
}

// Tick does what is due: it writes the whole a moment after the first patch, and asks the store what it has no room for.
func (e *Estate) Tick(now time.Time) {
	if l := e.ledger; l != nil {
		if !l.wholeBy.IsZero() && !now.Before(l.wholeBy) {
			e.SaveAll()
		}
		e.askRoom(now)
	}
}

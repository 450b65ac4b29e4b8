package estate

import (
	"encoding/json"
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
	record *record.Record // nil: there is none, and nothing is written or noted

	pages map[*crew.App]*page
	order []*crew.App                    // all apps, as the pages have their places
	dirty []*page                        // each once
	gone  []int                          // keys of apps that the record has and must not have any more
	sets  map[*crew.Sockets]listen.Saved // what the record has of sockets

	due     bool      // the record lags behind
	delayed int       // messages since it was last written in time
	sound   bool      // the record can be patched: else the next write is the whole
	size    int       // of the whole when it was written last, in bytes
	wholeBy time.Time // when the whole is written next; zero: there is no patch
	work    Work

	config   json.RawMessage // what the record is to have of the config
	configOf *config.Config  // what the loop's was when that was made
	written  *byte           // where the config begins that the record has; nil: it has none
}

// page is what the ledger knows of one app among the apps. A new one has nothing written.
type page struct {
	app     *crew.App
	place   int                        // among all apps
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

func (l *ledger) mark(p *page) {
	if !p.dirty {
		p.dirty = true
		l.dirty = append(l.dirty, p)
	}
}

// arrange gives each app a page, and each page its place. An app that has moved among the others moves those after it too.
func (l *ledger) arrange(apps []*crew.App) {
	if slices.Equal(l.order, apps) {
		return
	}
	old := l.pages
	l.order, l.pages = append(l.order[:0], apps...), make(map[*crew.App]*page, len(apps))
	for i, a := range apps {
		p := old[a]
		if p == nil {
			p = &page{app: a, place: -1, all: true, workers: map[pool.WorkerID]struct{}{}}
		}
		if l.pages[a] = p; p.place != i {
			p.place = i
			l.mark(p)
		}
		delete(old, a)
	}
	for a, p := range old {
		if p.base.kind != notSaved {
			l.gone = append(l.gone, a.Key)
		}
	}
	l.dirty = slices.DeleteFunc(l.dirty, func(p *page) bool { return l.pages[p.app] != p })
}

// forget has the whole written: of what is there, nothing counts.
func (l *ledger) forget() {
	for _, p := range l.pages {
		p.all = true
		l.mark(p)
	}
	l.gone, l.sets, l.written = nil, map[*crew.Sockets]listen.Saved{}, nil
}

// write writes what was changed, or the whole.
func (l *ledger) write(p succession.Patch, whole bool) error {
	var document any = p
	write := l.record.Append
	if whole {
		document, write = p.State, l.record.Write
	}
	blob, err := json.Marshal(document)
	if err == nil {
		err = write(blob)
	}
	switch n := len(blob); {
	case whole:
		l.size, l.wholeBy = n, time.Time{}
	case l.wholeBy.IsZero():
		l.wholeBy = time.Now().Add(patchedFor)
		fallthrough
	default:
		l.work.Patched += n
	}
	l.work.Writes, l.work.Bytes = l.work.Writes+1, l.work.Bytes+len(blob)
	l.sound = err == nil
	return err
}

// openRecord makes the record, or takes over the one that the last master has left: what was in it is read then. Without a store there is
// neither.
func (e *Estate) openRecord() (before *succession.State, err error) {
	l := &e.ledger
	if e.store == nil {
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
	l.due, l.sound = true, false
	if l.record, err = record.Open(l.file); err != nil {
		l.record, err = record.New(l.file)
	}
	return err
}

// part makes what the record is to be told of the dirty pages, which are clean from here on.
func (e *Estate) part() (p succession.Patch) {
	l, now := &e.ledger, time.Now()
	p.State = e.savedHead()
	if c := e.savedConfig(); l.written != &c[0] {
		p.Config, l.written = c, &c[0]
	}
	slices.SortFunc(l.dirty, func(p, q *page) int { return p.place - q.place })
	seen := map[*crew.Sockets]bool{}
	for _, page := range l.dirty {
		a, is := page.app, e.baseOf(page)
		all := page.all || is != page.base || is.releases.Partial()
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

// touch returns the page of an app; nil: the next write, if there is one, has all of the app anyway.
func (e *Estate) touch(a *crew.App) *page {
	e.loop.Show(a)
	p := e.ledger.pages[a]
	if p != nil {
		e.ledger.mark(p)
	}
	return p
}

// Touched has the next write look at what has changed of an app. Like Changed and TouchedWorker, it also has the next picture have a
// new part for the app.
func (e *Estate) Touched(a *crew.App) { e.touch(a) }

// Changed has the next write tell all of an app. What an order does to an app is marked by it.
func (e *Estate) Changed(a *crew.App) {
	if p := e.touch(a); p != nil {
		p.all = true
	}
}

// TouchedWorker has the next write tell of a worker.
func (e *Estate) TouchedWorker(m *crew.Worker) {
	if p := e.touch(m.App); p != nil {
		p.workers[m.ID] = struct{}{}
	}
}

// SaveAll writes the whole record.
func (e *Estate) SaveAll() { e.save(true) }

// SaveChanged writes what has changed. It precedes the effects of a step, so that no worker exists that the record does
// not know of.
func (e *Estate) SaveChanged() { e.save(false) }

// SaveSoon has what has changed written when the loop has no more messages: what is counted, and who was greeted. The loop calls
// SaveInTime for that after each message.
func (e *Estate) SaveSoon() { e.ledger.due = true }

// SaveAllSoon has the whole written then.
func (e *Estate) SaveAllSoon() { e.ledger.due, e.ledger.sound = true, false }

// SaveInTime writes what SaveSoon was called for. more says that the loop has another message: a burst of messages is written at its end.
func (e *Estate) SaveInTime(more bool) {
	l := &e.ledger
	if l.delayed++; l.due && (!more || l.delayed > mostDelayed) {
		l.delayed = 0
		e.SaveChanged()
	}
}

func (e *Estate) save(whole bool) {
	l := &e.ledger
	l.due = false
	if l.record == nil {
		return
	}
	l.arrange(e.loop.Apps())
	whole = whole || !l.sound || l.record.Patched() > max(l.size, leastPatches)
	if whole {
		l.forget()
	}
	for _, p := range l.dirty {
		if !p.app.Ended() {
			e.storeSockets(p.app.Sockets)
		}
	}
	wholeBy := l.wholeBy
	err := l.write(e.part(), whole)
	if l.wholeBy != wholeBy {
		e.loop.Rearm()
	}
	e.StoreFailed(succession.StateFile, err)
}

// Work tells what was encoded for the record so far.
func (e *Estate) Work() Work { return e.ledger.work }

// Deadline is when Tick has something to do; zero: at no time.
func (e *Estate) Deadline() time.Time {
	if e.stored == nil {
		return time.Time{}
	}
	return wake.Earliest(e.ledger.wholeBy, e.room.next())
}

// Tick does what is due: it writes the whole a moment after the first patch, and asks the store what it has no room for.
func (e *Estate) Tick(now time.Time) {
	if by := e.ledger.wholeBy; !by.IsZero() && !now.Before(by) {
		e.SaveAll()
	}
	if e.stored != nil {
		e.askRoom(now)
	}
}

package estate

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/succession"
)

// A store that is full, or loses a file on the way, answers nothing: what is missing would show when the master has crashed,
// by the workers that are lost. So the loop asks for it after each change, a burst of them once, and says at once what a crash
// would cost. As long as something is missing it stores that again, when there is room.
const (
	roomSoon  = 200 * time.Millisecond // from a change to the question
	roomAgain = 5 * time.Second        // from one question to the next, while something is missing
	roomTime  = 5 * time.Second        // bounds the answer
)

// room is what the loop knows of the store's.
type room struct {
	due     time.Time             // of the next question; zero: none is due
	asking  bool                  // the answer is on its way
	stale   bool                  // something has changed since it was asked
	missing map[string]bool       // names of which the store has no file, or not all
	workers map[*crew.Worker]bool // of those
	text    string                // how full the store is, when something is missing
}

func (r *room) changed() {
	if r.asking {
		r.stale = true
	} else if soon := time.Now().Add(roomSoon); r.due.IsZero() || r.due.After(soon) {
		r.due = soon
	}
}

// roomKnown is the answer.
type roomKnown struct {
	room keeper.Room
	err  error
}

// nextRoom is when the store is to be asked; zero: at no time.
func (e *Estate) nextRoom() time.Time {
	if e.kept == nil {
		return time.Time{}
	}
	return e.kept.room.due
}

// askRoom asks, if it is time to.
func (e *Estate) askRoom(now time.Time) {
	due := e.nextRoom()
	if due.IsZero() || now.Before(due) {
		return
	}
	r := &e.kept.room
	r.due = time.Time{}
	store, ok := e.store.(interface {
		Room(context.Context) (keeper.Room, error)
	})
	if !ok {
		return
	}
	r.asking, r.stale = true, false
	e.loop.Go(func() {
		ctx, cancel := context.WithTimeout(e.loop.Context(), roomTime)
		defer cancel()
		var k roomKnown
		k.room, k.err = store.Room(ctx)
		e.loop.Post(k)
	})
}

func (k roomKnown) Act(e *Estate) {
	r := &e.kept.room
	r.asking = false
	e.loop.Rearm()
	if k.err != nil || e.left || e.loop.Core().Stopping() {
		if !e.loop.Core().Stopping() {
			e.logs.Debug().Err(k.err).Msg("what is kept for the next master is not known")
		}
		return
	}
	if r.stale {
		defer r.changed()
	}
	now := map[string]bool{}
	for _, name := range k.room.Refused {
		now[name] = true
	}
	workers := map[string]*crew.Worker{} // by name, of those that are missing
	if len(now) > 0 {
		for m := range e.workers() {
			if name := succession.WorkerName(m.App.Key, m.ID); now[name] {
				workers[name] = m
			}
		}
	}
	r.text = fmt.Sprintf("it has %d of at most %d descriptors", k.room.Files, k.room.MaxFiles)
	before := r.missing
	for m := range r.workers {
		e.loop.Show(m.App)
	}
	r.missing, r.workers = now, map[*crew.Worker]bool{}
	for _, m := range workers {
		r.workers[m] = true
		e.loop.Show(m.App)
	}
	e.tellMissing(before, workers)
	e.loop.Stale()
	if len(now) == 0 {
		return
	}
	r.due = time.Now().Add(roomAgain)
	free := k.room.MaxFiles - k.room.Files
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if files := e.missingFiles(name, workers[name]); len(files) > 0 {
			if free -= len(files); free >= 0 {
				e.kept.room.changed()
				e.vault.Put(name, files...)
			}
			CloseFiles(files)
		}
	}
}

// tellMissing says what was not missing before, and that nothing is any more.
func (e *Estate) tellMissing(before map[string]bool, workers map[string]*crew.Worker) {
	r := &e.kept.room
	for _, name := range slices.Sorted(maps.Keys(r.missing)) {
		if before[name] {
			continue
		}
		if m := workers[name]; m != nil {
			line(e.logs.Error(), m).Str("store", r.text).Msg("nothing is kept of this worker: a crash of the master would lose it")
		} else {
			e.logs.Error().Str("file", name).Str("store", r.text).Msg("a file is not kept: a crash of the master would lose what it is for")
		}
	}
	switch {
	case len(before) == 0 && len(r.missing) > 0:
		e.loop.Event(nil, zerolog.ErrorLevel, control.Event{Kind: control.EventNotKept, Message: e.MissingText()})
	case len(before) > 0 && len(r.missing) == 0:
		const message = "all is kept again for the next master"
		e.loop.Event(nil, zerolog.InfoLevel, control.Event{Kind: control.EventKept, Message: message})
		e.logs.Info().Msg(message)
	}
}

// MissingText says what a crash of this master would lose; empty: nothing.
func (e *Estate) MissingText() string {
	if e.kept == nil {
		return ""
	}
	workers, others := 0, 0
	for m := range e.kept.room.workers {
		if m.App.Members[m.ID] == m {
			workers++
		}
	}
	for name := range e.kept.room.missing {
		if !strings.HasPrefix(name, succession.WorkerPrefix) {
			others++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{workers, "worker"}, {others, "other file"}} {
		if p.n > 1 {
			p.what += "s"
		}
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("a crash of the master would lose %s, which the %s has no room for: %s", strings.Join(parts, " and "), e.storeName(), e.kept.room.text)
}

func (e *Estate) storeName() string {
	if keeper.PID() != 0 {
		return "keeper"
	}
	return "descriptor store of systemd"
}

// missingFiles are duplicates of what is to be stored under a name; none if nobody has it any more.
func (e *Estate) missingFiles(name string, m *crew.Worker) []*os.File {
	if m != nil && m.Reachable() {
		files, err := m.Files()
		if err != nil {
			return nil
		}
		return files
	}
	if !strings.HasPrefix(name, succession.SocketsPrefix) {
		return nil
	}
	for _, a := range e.loop.Apps() {
		for file, f := range a.Sockets.Files() {
			if succession.SocketsName(a.Sockets.Key, file) == name {
				if d, err := ipc.Duplicate(f); err == nil {
					return []*os.File{d}
				}
			}
		}
	}
	return nil
}

// Missing reports whether the store has no room for a worker.
func (e *Estate) Missing(m *crew.Worker) bool { return e.kept != nil && e.kept.room.workers[m] }

// WorkerStored takes in what StoreWorker has returned for a worker that this master has started.
func (e *Estate) WorkerStored(m *crew.Worker, err error) {
	if e.kept != nil {
		e.kept.room.changed()
		e.StoreFailed(succession.WorkerName(m.App.Key, m.ID), err)
	}
}

package estate

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/wake"
)

// The store is asked what it has no room for after each change, a burst of them once. While something is missing it is asked again and
// again. See succession.Shortage for what follows.
const (
	roomSoon  = 200 * time.Millisecond // from a change to the question
	roomAgain = 5 * time.Second        // from one question to the next, while something is missing
	roomTime  = 5 * time.Second        // bounds the answer
)

// room is what is known of the room that the store has.
type room struct {
	due     time.Time             // of the next question; zero: none is due
	asking  bool                  // the answer is on its way, and no other question is asked before it is there
	short   succession.Shortage   // by the last answer
	workers map[*crew.Worker]bool // of which it has nothing
}

// changed has the store asked soon.
func (r *room) changed() { r.due = wake.Earliest(r.due, time.Now().Add(roomSoon)) }

// next is when the store is to be asked; zero: at no time.
func (r *room) next() time.Time {
	if r.asking {
		return time.Time{}
	}
	return r.due
}

// roomKnown is the answer of the store.
type roomKnown struct {
	room keeper.Room
	err  error
}

// askRoom asks the store, if it is time to.
func (e *Estate) askRoom(now time.Time) {
	r := &e.room
	due := r.next()
	if due.IsZero() || now.Before(due) {
		return
	}
	r.due = time.Time{}
	store, ok := e.store.(interface {
		Room(context.Context) (keeper.Room, error)
	})
	if !ok {
		return
	}
	r.asking = true
	e.loop.Go(func() {
		ctx, cancel := context.WithTimeout(e.loop.Context(), roomTime)
		defer cancel()
		var k roomKnown
		k.room, k.err = store.Room(ctx)
		e.loop.Post(k)
	})
}

func (k roomKnown) Act(e *Estate) {
	r := &e.room
	r.asking = false
	e.loop.Rearm()
	if stopping := e.loop.Core().Stopping(); k.err != nil || e.left || stopping {
		if !stopping {
			e.logs.Debug().Err(k.err).Msg("what is kept for the next master is not known")
		}
		return
	}
	for m := range r.workers {
		e.loop.Show(m.App)
	}
	r.workers = map[*crew.Worker]bool{}
	workers, files := e.missing(k.room.Refused)
	for _, m := range workers {
		r.workers[m] = true
		e.loop.Show(m.App)
	}
	look := r.short.Look(k.room, func(name string) int {
		switch {
		case workers[name] != nil && workers[name].Reachable():
			return handle.FilesOfWorker
		case files[name] != nil:
			return 1
		}
		return 0
	})
	e.tellMissing(look, workers)
	e.loop.Stale()
	if len(r.short.Missing) > 0 {
		r.due = wake.Earliest(r.due, time.Now().Add(roomAgain))
	}
	for _, name := range look.Again {
		r.changed()
		if f := files[name]; f != nil {
			_ = e.vault.Store(name, f)
		} else if files, err := workers[name].Files(); err == nil {
			_ = e.vault.Store(name, files...)
			closeFiles(files)
		}
	}
}

// missing finds the workers and the files of sockets that have one of some names.
func (e *Estate) missing(names []string) (workers map[string]*crew.Worker, files map[string]*os.File) {
	workers, files = map[string]*crew.Worker{}, map[string]*os.File{}
	if len(names) == 0 {
		return workers, files
	}
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	for m := range e.workers() {
		if name := succession.WorkerName(m.App.Key, m.ID); all[name] {
			workers[name] = m
		}
	}
	for s := range e.sockets() {
		for file, f := range s.Files() {
			if name := succession.SocketsName(s.Key, file); all[name] {
				files[name] = f
			}
		}
	}
	return workers, files
}

// tellMissing says what was not missing before, and that nothing is any more.
func (e *Estate) tellMissing(look succession.Look, workers map[string]*crew.Worker) {
	full := e.room.short.Full()
	for _, name := range look.New {
		const ofWorker = "nothing is kept of this worker: a crash of the master would lose it"
		if m := workers[name]; m != nil {
			line(e.logs.Error(), m).Str("store", full).Msg(ofWorker)
		} else if _, _, is := succession.ParseWorkerName(name); is { // the store was faster than the start of the worker
			e.logs.Error().Str("file", name).Str("store", full).Msg(ofWorker)
		} else {
			e.logs.Error().Str("file", name).Str("store", full).Msg("a file is not kept: a crash of the master would lose what it is for")
		}
	}
	switch {
	case look.Begins:
		e.loop.Event(nil, zerolog.ErrorLevel, api.Event{Kind: api.EventNotKept, Message: e.MissingText()})
	case look.Ends:
		const message = "all is kept again for the next master"
		e.loop.Event(nil, zerolog.InfoLevel, api.Event{Kind: api.EventKept, Message: message})
		e.logs.Info().Msg(message)
	}
}

// MissingText says what a crash of this master would lose; empty: nothing.
func (e *Estate) MissingText() string {
	if e.stored == nil {
		return ""
	}
	n := 0
	for m := range e.room.workers {
		if m.App.Members[m.ID] == m {
			n++
		}
	}
	return e.room.short.Loss(n, e.storeName())
}

func (e *Estate) storeName() string {
	if e.keeper != 0 {
		return "keeper"
	}
	return "descriptor store of systemd"
}

package orders

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// situations bring an order for app web, or for its slot 1, to each phase that it can rest in. The last order is the one.
var situations = []struct {
	phase phase
	story string
}{
	{following, "app web stopped/order start web/order start web"},
	{ending, "app web/order stop web/order start web"},
	{opening, "app web stopped/order start web"},
	{preparing, "app web/order restart web"},
	{replacing, "app web/order restart web/opened 1"},
	{starting, "app web cold/order start web"},
	{stopping, "app web/order stop web"},
	{queued, "app web/roll web/order reload web"},
	{rolling, "app web/order reload web"},
	{scaling, "app web/order scale web n=3"},
	{emptying, "app web/order restart web slot=1"},
	{filling, "app web/order restart web slot=1/exit web 2"},
}

// things are what can happen to an order. Those of the book are given to it as they are, whether they can happen or not.
var things = []struct {
	name string
	do   func(w *world, o *order)
}{
	{"tick", func(*world, *order) {}},
	{"opened", func(w *world, o *order) {
		w.prepared[o.id] = w.newRun(config{name: "web", workers: 2, limit: 5}, 10, 2)
		w.step(Opened{o.id, w.last, 2})
	}},
	{"unopened", func(w *world, o *order) { w.step(OpenFailed{o.id, errors.New("no such file")}) }},
	{"signalled", func(w *world, o *order) { w.step(Signalled{o.id, nil}) }},
	{"failure", func(w *world, o *order) {
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindSpawnFailed, ID: 9, Slot: 2, Generation: 2}})
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindSpawnFailed, ID: 9, Slot: 1, Generation: 2}})
	}},
	{"begun", func(w *world, o *order) {
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindRolloutBegin, Slot: -1, Generation: 3}})
	}},
	{"aborted", func(w *world, o *order) {
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindRolloutAborted, Slot: -1, Generation: 2}})
	}},
	{"dropped", func(w *world, o *order) {
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindRolloutDropped, Slot: -1, Generation: 2}})
	}},
	{"rolled", func(w *world, o *order) {
		w.step(Fact{App: o.app, Record: pool.Record{Kind: pool.KindRolloutDone, Slot: -1, Generation: 2}})
	}},
	{"ended", func(w *world, o *order) { w.named("web").ended, w.named("web").code = true, 1 }},
	{"stop", func(w *world, o *order) { w.place(api.Order{Verb: api.VerbStop, App: "web", Now: true}) }},
	{"start", func(w *world, o *order) { w.place(api.Order{Verb: api.VerbStart, App: "web"}) }},
	{"scale", func(w *world, o *order) { w.pool(w.named("web"), pool.Scale{N: 1}) }},
	{"removed", func(w *world, o *order) { w.runs = nil }},
	{"stopping", func(w *world, o *order) { w.stops = true }},
	{"paused", func(w *world, o *order) { w.now = w.now.Add(1 << 40); w.step(Paused{1 << 40}) }},
	{"late", func(w *world, o *order) { w.now = o.due }},
}

// TestEveryEventInEveryPhase holds in which phase each thing leaves an order, when the book has judged: "-" is that of before. Only
// in signalling no order rests: Signalled is the next event.
func TestEveryEventInEveryPhase(t *testing.T) {
	table := map[phase]string{
		//          tick opened    unopened signalled failure begun   aborted dropped   rolled ended     stop      start scale     removed   stopping  paused late
		following: "-    -         -        -         -       -       -       -         -      -         cancelled -     -         cancelled -         -      cancelled",
		ending:    "-    -         -        -         -       -       -       -         -      opening   cancelled -     -         cancelled cancelled -      overdue",
		opening:   "-    starting  failed   -         -       -       -       -         -      -         -         -     -         -         -         -      overdue",
		preparing: "-    replacing failed   -         -       -       -       -         -      -         -         -     -         -         -         -      overdue",
		replacing: "-    -         -        -         -       -       -       -         -      starting  cancelled -     -         cancelled cancelled -      overdue",
		starting:  "-    -         -        -         failed  -       -       -         -      failed    -         -     -         cancelled -         -      overdue",
		stopping:  "-    -         -        -         -       -       -       -         -      done      -         -     -         done      -         -      overdue",
		queued:    "-    -         -        -         -       rolling -       cancelled -      failed    cancelled -     -         cancelled -         -      overdue",
		rolling:   "-    -         -        -         -       -       failed  cancelled done   failed    cancelled -     -         cancelled -         -      overdue",
		scaling:   "-    -         -        -         failed  -       -       -         -      failed    -         -     cancelled cancelled -         -      overdue",
		emptying:  "-    -         -        -         -       -       -       -         -      cancelled -         -     -         cancelled -         -      overdue",
		filling:   "-    -         -        -         failed  -       -       -         -      failed    -         -     cancelled cancelled -         -      overdue",
	}
	for _, s := range situations {
		var row []string
		for _, thing := range things {
			w := newWorld(io.Discard)
			for line := range strings.SplitSeq(s.story, "/") {
				if err := command(w, strings.Fields(line)); err != nil {
					t.Fatal(err)
				}
				w.rest()
			}
			o := w.book.orders[len(w.book.orders)-1]
			if o.phase != s.phase {
				t.Fatalf("%s: the order is in the phase %s", s.story, o.phase)
			}
			w.wrong = nil
			thing.do(w, o)
			for w.step(Tick{}) {
			}
			if o.phase == s.phase {
				row = append(row, "-")
			} else {
				row = append(row, o.phase.String())
			}
		}
		if got, want := strings.Join(row, " "), strings.Join(strings.Fields(table[s.phase]), " "); got != want {
			t.Errorf("%s: %s, want %s", s.phase, got, want)
		}
	}
}

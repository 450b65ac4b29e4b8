package orders

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// FuzzBook plays stories of three apps that no person would write. The world holds after each line what must hold of every story:
// each order has exactly one result, none outlives its deadline, what was prepared is exchanged or closed, no app waits for an
// order that has ended, and only a drain leaves a slot empty.
func FuzzBook(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		story := make([]byte, 400)
		for i := range story {
			story[i] = byte(random.Uint32())
		}
		f.Add(story)
	}
	f.Fuzz(func(t *testing.T, story []byte) {
		w := newWorld(io.Discard)
		for _, line := range [][]string{{"web", "workers=2", "patience=40s"}, {"db", "workers=1", "limit=0", "namespace=shop"}, {"job", "workers=1", "limit=2", "stopped", "needs=db", "namespace=shop"}} {
			if err := addApp(w, parse(line)); err != nil {
				t.Fatal(err)
			}
		}
		for at := 0; at+3 < len(story) && at < 4*1000; at += 4 {
			w.happen(story[at], story[at+1], story[at+2], story[at+3])
			w.rest()
			if w.wrong != nil {
				t.Fatalf("line %d: %v", at/4, w.wrong)
			}
		}
		w.pass(time.Hour)
		if len(w.book.orders) != 0 {
			t.Errorf("%d orders have not ended", len(w.book.orders))
		}
		if len(w.parts) != w.asked {
			t.Errorf("%d of %d requests were answered", len(w.parts), w.asked)
		}
		if w.wrong != nil {
			t.Error(w.wrong)
		}
	})
}

// happen is one line of such a story.
func (w *world) happen(what, which, x, y byte) {
	verbs := append([]string{"stpo"}, verbs...)
	var r *run
	if len(w.runs) > 0 {
		r = w.runs[int(which)%len(w.runs)]
	}
	switch what % 16 {
	case 0, 1, 2, 3:
		o := api.Order{Verb: verbs[int(x)%len(verbs)], N: int(y%4) - 1, By: y&16 != 0, Now: y&32 != 0, Signal: "HUP"}
		if y&64 != 0 {
			slot := int(y % 3)
			o.Slot = &slot
		}
		if y&128 != 0 {
			o.IfRunning = api.IfRunningRefuse
		}
		if r != nil && which < 240 {
			o.App = r.config.name
		} else if which > 250 {
			o.App = "shop"
		}
		w.place(o)
	case 4, 5:
		if len(w.opening) > 0 {
			err := error(nil)
			if x < 40 {
				err = errors.New("no such file")
			}
			w.open(w.opening[int(y)%len(w.opening)], err)
		}
	case 6, 7, 8, 9, 10, 11:
		if r != nil {
			w.worker(r, what%16, x, y)
		}
	case 12:
		w.pass(time.Duration(x) * 100 * time.Millisecond)
	case 13:
		if w.now = w.now.Add(time.Duration(x) * time.Second); x < 60 {
			w.pause(time.Duration(x) * time.Second)
		}
	case 14:
		if r != nil && x < 30 {
			_ = command(w, []string{"remove", r.config.name})
		}
	case 15:
		if x == 0 {
			_ = command(w, []string{"stopping"})
		} else if r != nil && x < 40 {
			_ = command(w, []string{"config", r.config.name})
		}
	}
}

// worker is something that a worker does.
func (w *world) worker(r *run, what, x, y byte) {
	switch {
	case what < 8 && len(r.awaited) > 0:
		id := r.awaited[int(x)%len(r.awaited)]
		if y < 200 {
			w.pool(r, pool.Spawned{ID: id, PID: 100 + int(id)})
		} else {
			w.pool(r, pool.SpawnFailed{ID: id, Err: "no such file"})
		}
	case len(r.pids) > 0:
		ids := r.workers()
		id := ids[int(x)%len(ids)]
		switch {
		case what < 10:
			w.pool(r, pool.Ready{ID: id})
		case what == 10:
			w.pool(r, pool.Exited{ID: id, Code: int(y % 2)})
		default:
			w.pool(r, pool.Leaving{ID: id})
		}
	}
}

package master

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
)

// crowd is a loop with apps of so many ready workers, that have no processes.
func crowd(t testing.TB, n, workers int) *loop {
	t.Helper()
	s, err := New(config.Single("web", nil, 1, []string{"true"}))
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(s)
	l.logs, err = logs.Open(config.Log{}, nil, io.Discard, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.logs.Close)
	l.newCrew()
	var runs []apps.Restored
	for i := range n {
		c := config.NewApp(fmt.Sprint("app", i), "true")
		c.Workers = workers
		set, err := listen.Open(nil, 1, listen.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(set.Close)
		a := &crew.App{Name: c.Name, Config: c, Pool: pool.New(crew.PoolConfig(c)), Sockets: crew.NewSockets(set), Members: map[pool.WorkerID]*crew.Worker{}, Generations: map[int]*launch.Generation{}}
		now := time.Now()
		a.Pool.Step(now, pool.Start{})
		for _, slot := range a.Pool.Status().Slots {
			id := slot.Workers[0].ID
			a.Pool.Step(now, pool.Spawned{ID: id, PID: 1000 + int(id)})
			a.Pool.Step(now, pool.Ready{ID: id})
			a.Members[id] = &crew.Worker{App: a, ID: id, Slot: slot.Slot, Worker: &handle.Worker{}}
		}
		a.Key = l.estate.NewKey()
		o := l.enter(a)[0]
		runs = append(runs, apps.Restored{ID: o.ID, Spec: o.Spec, Facts: o.Facts})
	}
	l.decide(apps.Restore{Runs: runs})
	return l
}

// TestPictureSharesWhatHasNotChanged: a turn that touches one app makes one part anew.
func TestPictureSharesWhatHasNotChanged(t *testing.T) {
	l := crowd(t, 3, 2)
	l.endTurn(true)
	before := l.s.published.Newest()
	if len(before.Apps) != 3 || len(before.Listed) != 3 || before.Apps[1].Pool.Ready != 2 {
		t.Fatalf("%+v", before)
	}
	l.s.published.Begin()
	l.endTurn(true)
	if l.s.published.Newest() != before {
		t.Error("a turn that has changed nothing made a picture")
	}
	l.s.published.Begin()
	l.changed(l.apps[1])
	l.apps[1].Pool.Step(time.Now(), pool.Scale{N: 5})
	l.endTurn(true)
	after := l.s.published.Newest()
	for i := range 3 {
		if shared := after.Apps[i] == before.Apps[i]; shared != (i != 1) {
			t.Errorf("app %d is shared: %v", i, shared)
		}
	}
	if before.Apps[1].Pool.Wanted != 2 || after.Apps[1].Pool.Wanted != 5 {
		t.Errorf("wanted %d before, %d after", before.Apps[1].Pool.Wanted, after.Apps[1].Pool.Wanted)
	}
}

// TestPicturePause: after a picture that took long the next one waits, unless a reader does.
func TestPicturePause(t *testing.T) {
	l := crowd(t, 1, 1)
	l.endTurn(true)
	before := l.s.published.Newest()
	l.picture.due = time.Now().Add(time.Hour)
	l.s.published.Begin()
	l.changed(l.apps[0])
	l.endTurn(false)
	if l.s.published.Newest() != before || !l.nextPicture().Equal(l.picture.due) {
		t.Error("a picture was made in the pause")
	}
	m, over := l.s.published.Current()
	if m != nil {
		t.Fatal("a reader is given a picture that lacks something")
	}
	l.endTurn(false)
	select {
	case <-over:
	default:
		t.Fatal("a reader waits for the end of the pause")
	}
	if m, _ = l.s.published.Current(); m == before {
		t.Error("the reader is given the old picture")
	}
	if !l.nextPicture().IsZero() {
		t.Error("another one is owed")
	}
}

// BenchmarkEndOfTurn is what a turn costs that has changed no app, or one, of one or many. Paced: as the loop does it when turn
// follows turn; else each turn makes a picture, as with a reader that always waits.
func BenchmarkEndOfTurn(b *testing.B) {
	for _, c := range []struct {
		apps, workers, changed int
		paced                  bool
	}{{1, 2, 0, true}, {500, 2, 0, true}, {1, 1024, 0, true}, {1, 2, 1, false}, {500, 2, 1, false}, {1, 64, 1, false}, {1, 1024, 1, false}, {1, 1024, 1, true}} {
		b.Run(fmt.Sprintf("apps=%d/workers=%d/changed=%d/paced=%v", c.apps, c.workers, c.changed, c.paced), func(b *testing.B) {
			l := crowd(b, c.apps, c.workers)
			l.endTurn(true)
			b.ReportAllocs()
			for b.Loop() {
				l.s.published.Begin()
				if c.changed > 0 {
					l.changed(l.apps[len(l.apps)/2])
				}
				l.endTurn(!c.paced)
			}
		})
	}
}

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
		a := &crew.App{Name: c.Name, Config: c, Pool: pool.New(crew.PoolConfig(c)), Sockets: crew.NewSockets(set), Members: map[pool.WorkerID]*crew.Worker{}, Releases: launch.NewReleases(launch.NewPins(nil), 1, launch.New(c))}
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

// BenchmarkEndOfTurn is what a turn costs that has changed no app, or one, of one or many. Paced: as the loop does it when turn
// follows turn; else each turn makes a picture, as with a reader that always waits.
func BenchmarkEndOfTurn(b *testing.B) {
	for _, c := range []struct {
		apps, workers, changed int
		paced                  bool
	}{{1, 2, 0, true}, {500, 2, 0, true}, {1, 1024, 0, true}, {1, 2, 1, false}, {500, 2, 1, false}, {1, 64, 1, false}, {1, 1024, 1, false}, {1, 1024, 1, true}} {
		b.Run(fmt.Sprintf("apps=%d/workers=%d/changed=%d/paced=%v", c.apps, c.workers, c.changed, c.paced), func(b *testing.B) {
			l := crowd(b, c.apps, c.workers)
			l.picture.EndTurn(true)
			b.ReportAllocs()
			for b.Loop() {
				l.s.published.Begin()
				if c.changed > 0 {
					l.changed(l.apps[len(l.apps)/2])
				}
				l.picture.EndTurn(!c.paced)
			}
		})
	}
}

package estate

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
)

// standing is a loop whose apps a test moves.
type standing struct {
	Loop // what the ledger does not ask panics
	apps []*crew.App
	core *apps.Apps
	cfg  *config.Config
}

func (s *standing) Apps() []*crew.App      { return s.apps }
func (s *standing) Core() Core             { return s.core }
func (s *standing) App(apps.ID) *crew.App  { return nil }
func (s *standing) Config() *config.Config { return s.cfg }
func (s *standing) Rearm()                 {}
func (s *standing) Show(*crew.App)         {}
func (s *standing) Listed(name string) *crew.App {
	for _, a := range s.apps {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// nowhere is a store that takes all.
type nowhere struct{}

func (nowhere) Store(string, ...*os.File) error { return nil }
func (nowhere) Remove(string) error             { return nil }

// opened is an Estate with a record.
func opened(t *testing.T, l Loop, c *config.Config) *Estate {
	t.Helper()
	e := New(l, Options{Config: c, Store: nowhere{}})
	e.Start()
	t.Cleanup(e.Close)
	if _, err := e.openRecord(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return e
}

// recorded is what the record has of apps, in words.
func recorded(t *testing.T, e *Estate) string {
	t.Helper()
	s, err := succession.Read(e.ledger.record)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, a := range s.Apps {
		fmt.Fprintf(&b, "%d %s at %d in %d: start %d, wants %d of %d, next %d, restarts %d, last %d, generations %d\n",
			a.Key, a.Config.Name, a.Place, a.Sockets, a.StartWith, a.Pool.Want, len(a.Pool.Slots), a.Pool.NextID, a.History.Restarts, a.History.LastID, len(a.Generations))
	}
	for _, a := range s.Ended {
		fmt.Fprintf(&b, "%d %s at %d ended: start %d, %d %s\n", a.Key, a.Config.Name, a.Place, a.StartWith, a.Code, a.Reason)
	}
	for _, set := range s.Sockets {
		fmt.Fprintf(&b, "sockets %d\n", set.Key)
	}
	return b.String() + string(s.Config)
}

// TestPatchesAreTheWhole: whichever apps come, go, move, end and change, the record has with its patches what a whole would have.
func TestPatchesAreTheWhole(t *testing.T) {
	c, err := config.Single("web", nil, 1, []string{"true"}), error(nil)
	l := &standing{core: apps.New(apps.Limits{}), cfg: c}
	patched, whole := opened(t, l, c), opened(t, l, c)
	var all []*crew.App
	var runs []apps.Restored
	for i := range 8 {
		c := config.NewApp(fmt.Sprint("app", i), "true")
		c.Workers = 2
		set, failed := listen.Open(nil, 1, listen.Options{})
		if err = failed; err != nil {
			t.Fatal(err)
		}
		t.Cleanup(set.Close)
		a := &crew.App{Name: c.Name, Config: c, Pool: pool.New(crew.PoolConfig(c)), Sockets: crew.NewSockets(set),
			Members: map[pool.WorkerID]*crew.Worker{}, Releases: launch.NewReleases(launch.NewPins(nil), 1, launch.New(c))}
		a.Pool.Step(time.Now(), pool.Start{})
		patched.Number(a)
		run := apps.Restored{ID: a.ID(), Spec: apps.Spec{Name: c.Name}, Facts: a.Pool.Brief(), Ran: true}
		if i%4 == 3 {
			run.Ended, run.Leaving, run.Halted, run.Reason = true, true, true, "stopped"
		}
		all, runs = append(all, a), append(runs, run)
	}
	l.core.Step(time.Now(), apps.Restore{Runs: runs})
	for _, a := range all {
		if a.Run = l.core.Run(a.ID()); a.Run == nil {
			t.Fatalf("no run of %s", a.Name)
		}
	}
	const seed = 11
	dice := rand.New(rand.NewPCG(seed, seed))
	for round := range 200 {
		if dice.IntN(4) == 0 {
			moved := slices.Clone(all)
			dice.Shuffle(len(moved), func(i, j int) { moved[i], moved[j] = moved[j], moved[i] })
			l.apps = moved[:dice.IntN(len(moved)+1)]
		}
		for range dice.IntN(3) {
			a := all[dice.IntN(len(all))] // which may not be among the apps
			switch dice.IntN(4) {
			case 0:
				a.StartWith++
				patched.Changed(a)
			case 1:
				a.History.Restarts++
				patched.Touched(a)
			case 2:
				n := len(a.Releases.Remembered().ByNumber) + 1
				if a.Releases.Renew(n, a.Config); n > 5 {
					a.Releases = launch.NewReleases(a.Releases.Pins(), 1, a.Releases.Of(1))
				}
				patched.Touched(a)
			case 3:
				a.Pool.Step(time.Now(), pool.Scale{N: 1 + dice.IntN(4)})
				patched.Touched(a)
			}
		}
		switch dice.IntN(10) {
		case 0:
			patched.SaveAll()
		case 1:
			patched.SaveAllSoon()
			patched.SaveInTime(false)
		default:
			patched.SaveChanged()
		}
		whole.SaveAll()
		if got, want := recorded(t, patched), recorded(t, whole); got != want {
			t.Fatalf("round %d: with its patches the record has\n%s\nand the whole is\n%s", round, got, want)
		}
	}
	if w := patched.Work(); w.Patched == 0 || w.Patched >= w.Bytes {
		t.Errorf("patches and wholes were to be written: %+v", w)
	}
}

// TestSaveInTime: a burst of messages is written at its end, and a burst without an end once in so many messages.
func TestSaveInTime(t *testing.T) {
	c := config.Single("web", nil, 1, []string{"true"})
	e := opened(t, &standing{core: apps.New(apps.Limits{}), cfg: c}, c)
	writes := func() int { return e.Work().Writes }
	e.SaveInTime(false)
	if writes() != 0 {
		t.Error("nothing was due")
	}
	e.SaveSoon()
	e.SaveInTime(true)
	if writes() != 0 {
		t.Error("more messages wait")
	}
	e.SaveInTime(false)
	if writes() != 1 {
		t.Errorf("%d writes at the end of the burst", writes())
	}
	for range 3 * (mostDelayed + 2) {
		e.SaveSoon()
		e.SaveInTime(true)
	}
	if n := writes() - 1; n < 2 || n > 3 {
		t.Errorf("%d writes in three times as many messages as may be delayed", n)
	}
}

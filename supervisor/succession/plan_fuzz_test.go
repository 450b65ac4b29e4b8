package succession

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
)

// dice are numbers made of bytes. When there are none left they are 0.
type dice []byte

// below is a number from 0 to n-1.
func (d *dice) below(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

// odd is a small number, and now and then one that is at or beyond a bound.
func (d *dice) odd(small int) int {
	if d.below(16) != 1 {
		return d.below(small)
	}
	return []int{-1, ipc.MaxSlots - 1, ipc.MaxSlots, 1 << 40, -1 << 63, 1<<63 - 1}[d.below(6)]
}

func (d *dice) name() string {
	prefix := []string{WorkerPrefix, WorkerPrefix, SocketsPrefix, "worker", "x."}[d.below(5)]
	number := []string{"%d", "%d", "%d", "0%d", "+%d", " %d"}[d.below(6)]
	return prefix + fmt.Sprintf(number, d.odd(6)) + fmt.Sprintf(".%d", d.odd(6))
}

func fuzzSeeds(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("the record of the last master is lost"))
	for i := range 40 {
		seed := make([]byte, 160)
		for j := range seed {
			seed[j] = byte(i*37 + j*j*11 + j>>2)
		}
		f.Add(seed)
	}
}

// FuzzAdoption: no record and no names of files have the plan panic, adopt a worker twice or beside its end, or give a seat to
// two workers.
func FuzzAdoption(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dice(data)
		s := State{Version: Version, Keys: d.odd(10)}
		for i := range 1 + d.below(3) {
			a := App{Key: 1 + 2*i, Sockets: 2 + 2*i, Replaces: d.odd(6), Place: d.odd(4), Pool: pool.Saved{Slots: make([]pool.SavedSlot, d.below(4))}}
			if d.below(5) == 1 {
				a.Key, a.Sockets = d.odd(6), d.odd(6)
			}
			for range d.below(6) {
				w := pool.SavedWorker{ID: pool.WorkerID(d.odd(6)), PID: d.odd(5), Slot: d.odd(4), State: pool.State(d.below(7))}
				switch n := d.below(len(a.Pool.Slots) + 2); {
				case n < len(a.Pool.Slots):
					a.Pool.Slots[n].Workers = append(a.Pool.Slots[n].Workers, w)
				case n == len(a.Pool.Slots):
					a.Pool.Standbys.Workers = append(a.Pool.Standbys.Workers, w)
				default:
					a.Pool.Abandoned = append(a.Pool.Abandoned, w)
				}
				if d.below(6) == 1 {
					w.ID = pool.WorkerID(d.odd(6))
				}
				m := Member{ID: w.ID, PID: w.PID, Slot: d.odd(3), Seat: d.odd(2)}
				if d.below(8) == 1 {
					m.Exit = &Exit{}
				}
				a.Members = append(a.Members, m)
			}
			s.Apps = append(s.Apps, a)
			if d.below(6) != 1 {
				s.Sockets = append(s.Sockets, Sockets{Key: a.Sockets})
			}
		}
		for range d.below(3) {
			s.Ended = append(s.Ended, Ended{Key: d.odd(12), Place: d.odd(5)})
		}
		left := LeftFiles{}
		for _, a := range s.Apps {
			for _, m := range a.Members {
				if d.below(4) > 0 {
					left[WorkerName(a.Key, m.ID)] = d.below(5) - 1
				}
			}
		}
		for range d.below(4) {
			left[d.name()] = d.odd(5)
		}
		blob, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Decode(blob, nil); err != nil {
			t.Fatal(err)
		}
		s.Unsure()
		p, err := PlanAdoption(s, left)
		if err != nil {
			return
		}
		if err := p.check(); err != nil {
			t.Error(err)
		}
		if len(p.Apps) != len(s.Apps)+len(s.Ended) {
			t.Errorf("%d apps of %d and %d", len(p.Apps), len(s.Apps), len(s.Ended))
		}
		for name := range left {
			if taken := p.takes(name); taken == slices.Contains(p.Drop, name) {
				t.Errorf("%s is taken, and dropped: both %t", name, taken)
			}
		}
	})
}

func (p Adoption) takes(name string) bool {
	for _, a := range p.Apps {
		for _, w := range a.Workers {
			if WorkerName(a.Key, w.ID) == name && (w.Fate == Taken || w.Fate == TakenAsStray) {
				return true
			}
		}
	}
	return false
}

// FuzzRescue: nothing that a worker says of itself, and no name, has the plan panic or makes a state that cannot be adopted; no
// worker is adopted twice or beside its end, and no two get one seat.
func FuzzRescue(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dice(data)
		var wanted []WantedApp
		for i := range d.below(4) {
			cfg := pool.Default()
			cfg.Workers = 1 + d.below(4)
			w := WantedApp{Config: config.App{Name: string(rune('a' + i)), Workers: cfg.Workers}, Pool: cfg, Exact: d.below(2) == 0, Fits: map[int]listen.Saved{}}
			for range d.below(3) {
				w.Fits[1+d.below(6)] = listen.Saved{Slots: d.below(5)}
			}
			wanted = append(wanted, w)
		}
		said := map[string]LeftWorker{}
		var names []string
		for range d.below(12) {
			name := d.name()
			if d.below(3) > 0 {
				name = WorkerName(1+d.below(3), pool.WorkerID(d.odd(8)))
			}
			names = append(names, name)
			key, id, ok := ParseWorkerName(name)
			if !ok {
				continue
			}
			w := LeftWorker{Key: key, ID: id, PID: d.below(12), Hello: ipc.Hello{
				App: string(rune('a' + d.below(4))), Worker: uint64(id), State: ipc.StateReady, Slot: d.odd(3), Seat: d.odd(2), Generation: uint64(d.odd(5)),
			}}
			if d.below(8) == 1 {
				w.Hello.State, w.Hello.Worker = "hello", uint64(d.odd(5))
			}
			said[name] = w
		}
		var workers []LeftWorker
		for _, w := range said {
			workers = append(workers, w)
		}
		r := PlanRescue(time.Hour.Nanoseconds(), wanted, names, workers)
		if err := r.check(wanted); err != nil {
			t.Errorf("%v\n%s", err, r.text())
		}
	})
}

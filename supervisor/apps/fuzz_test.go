package apps

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// FuzzApps plays what can happen to a few apps in any order, and holds the rules of the checker. In the end the master is
// stopped, and must end. The first byte says what the apps are like.
func FuzzApps(f *testing.F) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		story := make([]byte, 20+random.IntN(200))
		for i := range story {
			story[i] = byte(random.Uint32())
		}
		f.Add(story)
	}
	f.Fuzz(func(t *testing.T, story []byte) {
		if len(story) < 2 {
			return
		}
		if err := fuzz(t, story[0], story[1:]); err != nil {
			t.Fatal(err)
		}
	})
}

// shapes are what the apps a to e are like. Needs may form a circle: two configs can bring that about.
var shapes = [][]string{
	{"", "needs=a", "needs=b", "needs=a,c:exited", "oneshot"},
	{"needs=e:exited hooks=after_ready,on_crash", "needs=e:exited before_drain=10s", "oneshot watch", "needs=a,b", "oneshot cron=@every_1m"},
	{"needs=b", "needs=c", "needs=a before_drain=1m", "watch hooks=on_crash", "oneshot not-at-start cron=@every_1h"},
	{"before_drain=1s hooks=on_crash", "before_drain=5s", "needs=nobody", "needs=c", "oneshot not-at-start watch"},
}

var names = []string{"a", "b", "c", "d", "e"}

func fuzz(t testing.TB, shape byte, story []byte) error {
	limits := Limits{}
	if shape&1 != 0 {
		limits = Limits{StopDelay: 5 * time.Second, StopTimeout: 30 * time.Second}
	}
	w := newWorld(limits)
	shape >>= 1
	w.shape(t, shape)
	var err error
	if shape&8 == 0 {
		err = w.line("begin", names...)
	} else if err = w.line("restore", "ready", "a:ready", "b:leaving", "c:idle", "d:ended:code=70", "e:ended:never"); err == nil {
		err = w.line("resumed")
	}
	for i := 0; err == nil && w.done == nil && i+1 < len(story); i += 2 {
		err = w.act(t, story[i], story[i+1])
	}
	if err == nil {
		err = w.end()
	}
	return err
}

// shape makes the apps be like that from their next run on.
func (w *world) shape(t testing.TB, n byte) {
	for i, name := range names {
		w.specs[name], w.wants[name] = spec(t, name, strings.Fields(shapes[int(n)%len(shapes)][i]))
	}
}

// line plays a line of a script.
func (w *world) line(verb string, args ...string) error {
	evs, err := w.events(verb, args)
	for _, ev := range evs {
		if err == nil {
			err = w.step(ev)
		}
	}
	return err
}

// act does one thing that can happen now, if the bytes name one.
func (w *world) act(t testing.TB, op, arg byte) error {
	name := names[int(arg>>4)%len(names)]
	r := w.run(name)
	if r == nil {
		op = op % 4 // those for no app
	}
	live := r != nil && !r.Ended() && !r.Waits() && w.pools[r.ID()].Phase != pool.PhaseDone
	switch op % 24 {
	case 0, 1: // time goes on
		d := time.Duration(arg) * time.Duration(arg) * 10 * time.Millisecond
		until := w.now.Add(d)
		for next := w.apps.Deadline(); !next.IsZero() && !next.After(until) && w.done == nil; next = w.apps.Deadline() {
			if next.After(w.now) {
				w.now = next
			}
			if err := w.step(Tick{}); err != nil {
				return err
			}
		}
		w.now = until
	case 2:
		if arg&15 == 0 {
			return w.line("master", []string{"stop", "own"}[arg>>7], "why")
		}
		if arg == 255 {
			return w.line("master", "kill", "why")
		}
	case 3:
		if w.apps.Stopping() {
			return nil
		}
		if arg&1 != 0 {
			if err := w.step(Opening{}); err != nil {
				return err
			}
			if arg&2 != 0 {
				return w.step(Refuse{})
			}
		}
		if arg&12 == 0 {
			w.shape(t, arg>>4)
		}
		var line []string
		for i, name := range names {
			if arg>>3&(1<<i) == 0 {
				line = append(line, name+[]string{"=", "+", ""}[(int(arg)+i)%3])
			}
		}
		if arg&32 != 0 && len(line) > 1 {
			line[0] = line[0][:1] + ">" + names[int(arg)%len(names)]
		}
		return w.line("config", line...)
	case 4, 5, 6:
		if live {
			return w.line("up", name)
		}
	case 7:
		if live {
			return w.line("down", name)
		}
	case 8:
		if live {
			return w.line("tried", name)
		}
	case 9:
		if live && r.State() != Stopping && r.State() != Killing {
			return w.line("phase", name)
		}
	case 10:
		if live {
			return w.line("scaled", name, fmt.Sprint(arg&3))
		}
	case 11:
		if live {
			return w.line("rolled", name)
		}
	case 12, 13:
		if live {
			return w.line("crash", name)
		}
	case 14:
		if live && arg&1 != 0 && len(r.hooks.inRun) > 0 {
			return w.line("told", name, fmt.Sprint(r.hooks.inRun[0].Drain.ID))
		}
		if live && r.Holds(pool.Drain{Timeout: time.Second}) > 0 {
			return w.line("held", name, "2", (time.Duration(arg) * time.Second).String())
		}
	case 15, 16:
		if live {
			return w.line("end", name, fmt.Sprint(int(arg&1)*70), "why")
		}
	case 17:
		for id, running := range w.hooks {
			for hook := range running {
				if int(id+ID(hook))%3 == int(arg%3) {
					delete(running, hook)
					return w.step(HookEnded{id, hook})
				}
			}
		}
	case 18:
		return w.line("changed", name, "file")
	case 19:
		if r.State() != Gone {
			if arg&1 != 0 {
				return w.line("stop", name, "now")
			}
			return w.line("stop", name)
		}
	case 20:
		if r.State() != Gone && r.Next() == 0 && !w.apps.Stopping() && (!r.Leaves() || r.Halted()) {
			return w.line("next", name)
		}
	case 21:
		if r.Next() != 0 && arg&3 == 0 {
			return w.line("none", name)
		}
		if r.Next() != 0 && !r.Ended() {
			return w.line("leave", name)
		}
	case 22:
		if r.Ended() && r.Next() != 0 && !w.apps.Stopping() {
			return w.line("exchange", name)
		}
	case 23:
		return w.line("needs", name)
	}
	return nil
}

// end has the master stop, and all of its pools and hooks end.
func (w *world) end() error {
	for i := 0; w.done == nil; i++ {
		if i > 100 {
			return fmt.Errorf("the master does not end: %s", w.apps.Phase())
		}
		if !w.apps.Stopping() {
			if err := w.step(Stop{Reason: "the end"}); err != nil {
				return err
			}
		}
		if next := w.apps.Deadline(); !next.IsZero() {
			if next.After(w.now) {
				w.now = next
			}
			if err := w.step(Tick{}); err != nil {
				return err
			}
		}
		for _, r := range w.apps.Runs() {
			if w.done == nil && (r.State() == Stopping || r.State() == Killing) {
				if err := w.step(w.finish(r.ID(), 0, "stopped")); err != nil {
					return err
				}
			}
		}
		for id, running := range w.hooks {
			for hook := range running {
				delete(running, hook)
				if w.done == nil {
					if err := w.step(HookEnded{id, hook}); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// FuzzAnyEvent gives events as they come, also such that cannot happen: none panics, and one that is impossible changes no
// state.
func FuzzAnyEvent(f *testing.F) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		story := make([]byte, 300)
		for i := range story {
			story[i] = byte(random.Uint32())
		}
		f.Add(story)
	}
	f.Fuzz(func(t *testing.T, story []byte) {
		w := newWorld(Limits{StopTimeout: time.Minute})
		w.shape(t, 1)
		now := w.now
		for i := 0; i+3 <= len(story); i += 3 {
			id, arg := ID(story[i+1]&15), story[i+2]
			facts := pool.Brief{Phase: pool.Phase(arg & 7 % 5), Wanted: int(arg >> 4), Generation: 1, AllReady: arg&8 != 0}
			opened := Opened{ID: ID(arg), Spec: w.specs[names[int(arg)%5]], Facts: facts, Replaces: id}
			events := []Event{
				Tick{}, Stepped{App: id, Facts: facts}, Stepped{App: id, Facts: facts, Done: &pool.Done{Code: int(arg)}}, HookEnded{id, Hook(arg & 3)},
				Stepped{App: id, Facts: facts, Crashes: []Crash{{}}, Held: []Held{{}}, Told: []pool.WorkerID{1}}, FilesChanged{id, "f"},
				Begin{[]Opened{opened, opened}}, Restore{Runs: []Restored{{ID: ID(arg), Ended: arg&1 != 0}}}, Resumed{}, Opening{}, Refuse{},
				Configure{New: []Opened{opened}}, StopApp{id, arg&1 != 0}, StopForNext{App: id}, NextRun{id, OrderID(arg)}, NoNextRun{id, OrderID(arg)},
				Exchange{id, opened}, StartNeeds{id}, nil, Begin{[]Opened{{ID: 1, Spec: w.specs["a"]}, {ID: 2, Spec: w.specs["b"]}, {ID: 3, Spec: w.specs["c"]}}},
			}
			ev := events[int(story[i])%len(events)]
			before := map[ID]State{}
			for _, r := range w.apps.Runs() {
				before[r.ID()] = r.State()
			}
			now = now.Add(time.Duration(arg) * time.Second)
			effects := w.apps.Step(now, ev)
			if len(effects) != 1 {
				continue
			}
			if rec, is := effects[0].(Record); is && rec.Kind == KindImpossible {
				for _, r := range w.apps.Runs() {
					if before[r.ID()] != r.State() {
						t.Fatalf("%T is impossible, and takes run %d from %s to %s", ev, r.ID(), before[r.ID()], r.State())
					}
				}
			}
		}
	})
}

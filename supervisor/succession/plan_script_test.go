package succession

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/script"
)

// scene is what a master has left, as the lines of a story build it.
type scene struct {
	state   State
	left    LeftFiles
	wanted  []WantedApp
	names   []string
	workers []LeftWorker
}

// TestScripts plays the scripts in testdata/*.txtar. They are the specification of the two plans. For an adoption:
//
//	sockets KEY
//	app NAME KEY SOCKETS [leaving] [halted] [added] [replaces=KEY]
//	ended NAME KEY PLACE [halted] [ordered] [added] [ran] [code=N]
//	worker APP ID SLOT [ready|starting|draining|standby|gone] [pid=N] [seat=N] [exit=N] [unknown]
//	                 the last app has it; SLOT is a number, or "-" for a standby. unknown: its pool alone has it
//	left NAME PID|incomplete
//	unsure           the names whose PIDs are asked for
//	adopt
//
// And for a rescue:
//
//	want NAME WORKERS [any]  an app of the config; any: it has no port of its own
//	fits KEY [SLOTS]         sockets that are bound to the addresses of the last app
//	file NAME ...            what was left, but for the workers that say something
//	says NAME [pid=N] [app=NAME] [slot=N] [seat=N] [id=N] [generation=N] [state=STATE]
//	rescue
func TestScripts(t *testing.T) {
	script.Run(t, time.Unix(0, 0), func(t *testing.T) *script.Core[struct{}, string] {
		s := &scene{left: LeftFiles{}}
		return &script.Core[struct{}, string]{
			Step:     func(time.Time, struct{}) ([]string, error) { return nil, nil },
			Deadline: func() time.Time { return time.Time{} },
			Command: func(_ *script.Clock, words []string) ([]struct{}, string, error) {
				text, err := s.line(words[0], words[1:])
				return nil, text, err
			},
			Describe: func(text string) string { return text },
		}
	})
}

// line does what one line says. A word that is missing, or is not a number, panics, which the runner reports with the line.
func (s *scene) line(verb string, args []string) (string, error) {
	var flags []string
	values := map[string]string{}
	for _, arg := range args {
		if key, value, found := strings.Cut(arg, "="); found {
			values[key] = value
		} else {
			flags = append(flags, arg)
		}
	}
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		return n
	}
	value := func(key string, otherwise int) int {
		if text, ok := values[key]; ok {
			return number(text)
		}
		return otherwise
	}
	switch verb {
	case "sockets":
		s.state.Sockets = append(s.state.Sockets, Sockets{Key: number(flags[0])})
	case "app":
		cfg := pool.Default()
		cfg.Workers = 0
		saved := pool.New(cfg).Snapshot(time.Unix(0, 0))
		saved.Phase, saved.NextID = "running", 1000
		s.state.Apps = append(s.state.Apps, App{
			Config: config.App{Name: flags[0]}, Key: number(flags[1]), Sockets: number(flags[2]), Pool: saved,
			Leaving: has("leaving"), Halted: has("halted"), Added: has("added"), Replaces: value("replaces", 0),
		})
	case "ended":
		e := Ended{
			Config: config.App{Name: flags[0]}, Key: number(flags[1]), Place: number(flags[2]),
			Halted: has("halted"), Ordered: has("ordered"), Added: has("added"), Code: value("code", 0),
		}
		if has("ran") {
			e.History.LastID = 1
		}
		s.state.Ended = append(s.state.Ended, e)
	case "worker":
		s.worker(number(flags[1]), flags[2], flags[3:], value)
	case "left":
		if s.left[flags[0]] = Incomplete; flags[1] != "incomplete" {
			s.left[flags[0]] = number(flags[1])
		}
	case "unsure":
		return strings.Join(s.state.Unsure(), "\n"), nil
	case "adopt":
		p, err := PlanAdoption(s.state, s.left)
		if err != nil {
			return err.Error(), nil
		}
		return p.text(), p.check()
	case "want":
		cfg := pool.Default()
		cfg.Workers = number(flags[1])
		s.wanted = append(s.wanted, WantedApp{
			Config: config.App{Name: flags[0], Workers: cfg.Workers}, Pool: cfg, Exact: !has("any"), Fits: map[int]listen.Saved{},
		})
	case "fits":
		set := listen.Saved{Slots: 1}
		if len(flags) > 1 {
			set.Slots = number(flags[1])
		}
		s.wanted[len(s.wanted)-1].Fits[number(flags[0])] = set
	case "file":
		s.names = append(s.names, flags...)
	case "says":
		key, id, ok := ParseWorkerName(flags[0])
		if !ok {
			return "", fmt.Errorf("%q is no worker's name", flags[0])
		}
		w := LeftWorker{Key: key, ID: id, PID: value("pid", 100*key+int(id)), Hello: ipc.Hello{
			App: values["app"], Worker: uint64(value("id", int(id))), Slot: value("slot", 0), Seat: value("seat", 0),
			Generation: uint64(value("generation", 0)), State: ipc.StateReady,
		}}
		if state, ok := values["state"]; ok {
			w.Hello.State = ipc.WorkerState(state)
		}
		s.names, s.workers = append(s.names, flags[0]), append(s.workers, w)
	case "rescue":
		r := PlanRescue(7, s.wanted, s.names, s.workers)
		return r.text(), r.check(s.wanted)
	default:
		return "", fmt.Errorf("there is no %q", verb)
	}
	return "", nil
}

var states = map[string]pool.State{
	"ready": pool.StateReady, "starting": pool.StateStarting, "draining": pool.StateDraining, "standby": pool.StateStandby, "gone": pool.StateGone,
}

// worker gives the last app a worker.
func (s *scene) worker(id int, slot string, flags []string, value func(string, int) int) {
	a := &s.state.Apps[len(s.state.Apps)-1]
	w := pool.SavedWorker{ID: pool.WorkerID(id), PID: value("pid", 0), Slot: -1, State: pool.StateReady}
	for _, flag := range flags {
		if state, ok := states[flag]; ok {
			w.State = state
		}
	}
	if slot != "-" {
		w.Slot, _ = strconv.Atoi(slot)
	}
	switch {
	case w.State == pool.StateGone:
		a.Pool.Abandoned = append(a.Pool.Abandoned, w)
	case w.Slot < 0:
		a.Pool.Standbys.Workers = append(a.Pool.Standbys.Workers, w)
	default:
		for len(a.Pool.Slots) <= w.Slot {
			a.Pool.Slots = append(a.Pool.Slots, pool.SavedSlot{})
		}
		a.Pool.Slots[w.Slot].Workers = append(a.Pool.Slots[w.Slot].Workers, w)
	}
	if slices.Contains(flags, "unknown") || w.PID == 0 {
		return
	}
	m := Member{ID: w.ID, PID: w.PID, Slot: w.Slot, Seat: value("seat", -1)}
	if code := value("exit", -1); code >= 0 {
		m.Exit = &Exit{Code: code}
	}
	a.Members = append(a.Members, m)
}

var origins = map[apps.Origin]string{apps.FromStart: "", apps.FromConfig: " added", apps.FromOrder: " ordered"}

func (p Adoption) text() string {
	var b strings.Builder
	for _, set := range p.Sockets {
		fmt.Fprintf(&b, "sockets %d steered as app %d\n", set.Key, set.App)
	}
	for _, a := range p.Apps {
		if r := a.Run; a.Ended != nil {
			fmt.Fprintf(&b, "app %d %s has ended: ran=%t code=%d left=%t halted=%t%s\n", a.Key, a.Ended.Config.Name, r.Ran, r.Code, r.Leaving, r.Halted, origins[r.Origin])
		} else {
			fmt.Fprintf(&b, "app %d %s on sockets %d: leaving=%t halted=%t replaces=%d%s\n", a.Key, a.Running.Config.Name, a.Running.Sockets, r.Leaving, r.Halted, r.Replaces, origins[r.Origin])
		}
		for _, w := range a.Workers {
			fmt.Fprintf(&b, "  %s: worker %d, PID %d, slot %d, seat %d\n", w.Fate, w.ID, w.PID, w.Slot, w.Seat)
		}
	}
	fmt.Fprintf(&b, "keys to %d, dropped: %s\n", p.Keys, strings.Join(p.Drop, " "))
	return b.String()
}

// check holds what is true of every adoption.
func (p Adoption) check() error {
	names, seats, keys := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for _, name := range p.Drop {
		names[name] = true
	}
	for _, a := range p.Apps {
		if keys[a.Key] || a.Key < 1 || a.Key > p.Keys || int(a.Run.ID) != a.Key || (a.Running == nil) == (a.Ended == nil) {
			return fmt.Errorf("app %+v", a)
		}
		keys[a.Key] = true
		for _, w := range a.Workers {
			name := WorkerName(a.Key, w.ID)
			if w.Fate == Taken || w.Fate == TakenAsStray {
				if names[name] || w.PID == 0 && w.Fate == TakenAsStray {
					return fmt.Errorf("%s is adopted and dropped, or adopted twice", name)
				}
				names[name] = true
			}
			at := fmt.Sprint(a.Running.Sockets, w.Slot, w.Seat)
			if w.Seat >= 0 && seats[at] {
				return fmt.Errorf("%s has the seat of another", name)
			}
			seats[at] = true
		}
	}
	return nil
}

func (r Rescue) text() string {
	var b strings.Builder
	for i, a := range r.State.Apps {
		fmt.Fprintf(&b, "app %d %s on sockets %d with %d slots, admitted %v, generation %d\n", a.Key, a.Config.Name, a.Sockets,
			r.State.Sockets[i].Set.Slots, r.State.Sockets[i].Set.Admitted, a.Pool.Generation)
		for n, s := range a.Pool.Slots {
			for _, w := range s.Workers {
				fmt.Fprintf(&b, "  slot %d: worker %d, PID %d, %s\n", n, w.ID, w.PID, w.State)
			}
		}
	}
	for _, w := range r.Lost {
		fmt.Fprintf(&b, "lost: %s, PID %d\n", w.Name(), w.PID)
	}
	fmt.Fprintf(&b, "keys to %d, ready=%t, dropped: %s\n", r.State.Keys, r.State.WasReady, strings.Join(r.Drop, " "))
	return b.String()
}

// check holds what is true of every rescue: its state can be read as a record, be adopted with what was left, and its pools
// can be restored.
func (r Rescue) check(wanted []WantedApp) error {
	blob, err := json.Marshal(r.State)
	if err != nil {
		return err
	}
	state, err := Decode(blob, nil)
	if err != nil {
		return err
	}
	left := LeftFiles{}
	for _, a := range state.Apps {
		for _, m := range a.Members {
			left[WorkerName(a.Key, m.ID)] = m.PID
		}
	}
	for _, w := range r.Lost {
		if _, adopted := left[w.Name()]; adopted || slices.Contains(r.Drop, w.Name()) {
			return fmt.Errorf("%s is lost, and adopted or dropped", w.Name())
		}
	}
	for _, name := range r.Drop {
		if _, adopted := left[name]; adopted {
			return fmt.Errorf("%s is adopted and dropped", name)
		}
	}
	p, err := PlanAdoption(state, left)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	if len(p.Drop) > 0 {
		return fmt.Errorf("the adoption drops %v", p.Drop)
	}
	pids := map[int]bool{}
	for _, w := range r.Lost {
		pids[w.PID] = true // which may have several names, and is told to end only if none is adopted
	}
	for _, a := range p.Apps {
		at := slices.IndexFunc(wanted, func(w WantedApp) bool { return w.Config.Name == a.Running.Config.Name })
		if _, err := pool.Restore(wanted[at].Pool, a.Running.Pool, time.Unix(0, 0), 0); err != nil {
			return err
		}
		for _, w := range a.Workers {
			if pids[w.PID] || w.Fate != Taken || w.Seat < 0 {
				return fmt.Errorf("worker %+v of app %d", w, a.Key)
			}
			pids[w.PID] = true
		}
	}
	return nil
}

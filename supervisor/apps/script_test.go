package apps

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/script"
)

// TestScripts plays the scripts in testdata/*.txtar. They are the specification of this package. Each file of an archive is a
// story of its own, with a new core:
//
//	limits [delay=D] [timeout=D]   first line, optional: the times of a stop
//	app NAME WORD ...              what an app is like from here on: see spec in world_test.go
//	begin NAME ...                 the master starts, with these apps
//	up NAME ...                    all workers of the app are ready
//	down NAME                      not all are
//	tried NAME                     a worker of it has a process
//	phase NAME stopping            its pool ends by itself
//	scaled NAME N                  N workers are wanted
//	rolled NAME                    a rollout is done
//	crash NAME [code=N]            a worker ends unasked
//	held NAME N [D]                N workers were told to drain in D, and wait for the hook
//	told NAME ID ...               they are told once more
//	end NAME [CODE [REASON]]       the pool is done
//	hook NAME KIND                 the hook has ended
//	changed NAME FILE              watched files have changed
//	stop NAME [now]                an order stops the app
//	next NAME                      an order brings the next run of the app
//	none NAME                      it does not
//	leave NAME [now] [REASON]      an order stops the app to start it again
//	exchange NAME                  the next run is there
//	needs NAME                     a person starts the app: those that it needs are started
//	master stop|kill|own [REASON]  the master is to end
//	opening   refuse
//	config NAME[=][+] ...          a config with these apps is applied. =: as it was. +: its workers are started differently
//	config NAME>OLD                the app takes over the sockets of another
//	restore [ready] [stopping] [asked] NAME[:WORD...] ...
//	                               the master follows another. Words: stopping killing idle ended leaving halted ready order code=N never due=D
//	resumed
//	status
//
// Of the answers, records are after a dash, and a save that has time is left out. The rest is as package script says.
//
// All steps pass through the checker, so each script also holds the rules that hold always.
func TestScripts(t *testing.T) {
	script.Run(t, begin, func(t *testing.T) *script.Core[Event, string] {
		w := newWorld(Limits{})
		return &script.Core[Event, string]{
			Tick: Tick{},
			Step: func(now time.Time, ev Event) ([]string, error) {
				w.now = now
				err := w.step(ev)
				said := slices.DeleteFunc(w.said, func(text string) bool { return text == "" })
				w.said = nil
				return said, err
			},
			Deadline: func() time.Time { return w.apps.Deadline() },
			Command: func(clock *script.Clock, words []string) ([]Event, string, error) {
				w.now = clock.Now
				switch args := words[1:]; words[0] {
				case "limits":
					l := Limits{}
					for _, arg := range args {
						key, value, _ := strings.Cut(arg, "=")
						*map[string]*time.Duration{"delay": &l.StopDelay, "timeout": &l.StopTimeout}[key] = must(time.ParseDuration(value))
					}
					w = newWorld(l)
					return nil, "", nil
				case "app":
					w.specs[args[0]], w.wants[args[0]] = spec(t, args[0], args[1:])
					return nil, "", nil
				case "status":
					return nil, w.status(), nil
				}
				evs, err := w.events(words[0], words[1:])
				return evs, "", err
			},
			Describe: func(text string) string { return text },
		}
	})
}

// events makes those of one line, and the facts that they rest on.
func (w *world) events(verb string, args []string) ([]Event, error) {
	now := false
	if len(args) > 1 && args[1] == "now" {
		now, args = true, append(args[:1:1], args[2:]...)
	}
	rest := func(n int) string { return strings.Join(args[min(n, len(args)):], " ") }
	switch verb {
	case "begin":
		var ev Begin
		for _, name := range args {
			ev.Runs = append(ev.Runs, w.open(name, 0))
		}
		return []Event{ev}, nil
	case "config":
		return []Event{w.config(args)}, nil
	case "restore":
		return []Event{w.restore(args)}, nil
	case "resumed":
		return []Event{Resumed{}}, nil
	case "opening":
		return []Event{Opening{}}, nil
	case "refuse":
		return []Event{Refuse{}}, nil
	case "master":
		return []Event{Stop{Now: args[0] == "kill", Own: args[0] == "own", Reason: rest(1)}}, nil
	}
	var evs []Event
	for _, name := range args {
		r := w.run(name)
		if r == nil {
			return nil, fmt.Errorf("there is no app %s", name)
		}
		id, p := r.ID(), w.pools[r.ID()]
		switch verb {
		case "up", "down", "tried":
			p.AllReady, p.Tried = verb == "up", true
			evs = append(evs, Stepped{App: id, Facts: p.Brief, Moved: verb != "tried"})
			continue
		case "phase":
			p.Phase = pool.PhaseStopping
			evs = append(evs, Stepped{App: id, Facts: p.Brief})
		case "scaled":
			p.Wanted = must(strconv.Atoi(args[1]))
			evs = append(evs, Stepped{App: id, Facts: p.Brief})
		case "rolled":
			p.Generation++
			evs = append(evs, Stepped{App: id, Facts: p.Brief, Moved: true})
		case "crash":
			code := 1
			if len(args) > 1 {
				_, _ = fmt.Sscanf(args[1], "code=%d", &code)
			}
			w.worker++
			p.AllReady = false
			evs = append(evs, Stepped{App: id, Facts: p.Brief, Moved: true, Crashes: []Crash{{Worker: w.worker, PID: 100 + int(w.worker), Code: code, Generation: p.Generation}}})
		case "held":
			ev, timeout := Stepped{App: id, Facts: p.Brief}, 30*time.Second
			if len(args) > 2 {
				timeout = must(time.ParseDuration(args[2]))
			}
			for range must(strconv.Atoi(args[1])) {
				w.worker++
				ev.Held = append(ev.Held, Held{Drain: pool.Drain{ID: w.worker, Timeout: timeout}, PID: 100 + int(w.worker), Generation: p.Generation})
			}
			evs = append(evs, ev)
		case "told":
			ev := Stepped{App: id, Facts: p.Brief}
			for _, n := range args[1:] {
				ev.Told = append(ev.Told, pool.WorkerID(must(strconv.Atoi(n))))
			}
			evs = append(evs, ev)
		case "end":
			code := 0
			if len(args) > 1 {
				code = must(strconv.Atoi(args[1]))
			}
			evs = append(evs, w.finish(id, code, rest(2)))
		case "hook":
			kind := Hook(0)
			for kind.String() != args[1] {
				kind++
			}
			delete(w.hooks[id], kind)
			evs = append(evs, HookEnded{id, kind})
		case "changed":
			evs = append(evs, FilesChanged{id, rest(1)})
		case "stop":
			evs = append(evs, StopApp{id, now})
		case "next":
			w.order++
			w.orders[name] = w.order
			evs = append(evs, NextRun{id, w.order})
		case "none":
			evs = append(evs, NoNextRun{id, w.orders[name]})
		case "leave":
			evs = append(evs, StopForNext{App: id, Now: now, Reason: rest(1)})
		case "exchange":
			evs = append(evs, Exchange{id, w.open(name, 0)})
		case "needs":
			evs = append(evs, StartNeeds{id})
		default:
			return nil, fmt.Errorf("there is no command %s", verb)
		}
		return evs, nil
	}
	return evs, nil
}

func (w *world) config(args []string) Event {
	var ev Configure
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, ">")
		name, equal := strings.CutSuffix(name, "=")
		name, rolls := strings.CutSuffix(name, "+")
		r := w.run(name)
		done := r != nil && r.Ended() && !r.Leaves() && equal
		ev.Apps = append(ev.Apps, Wanted{w.specs[name], equal, rolls, done})
	}
	news, _ := w.apps.Plan(ev.Apps)
	for _, i := range news {
		_, old, _ := strings.Cut(args[i], ">")
		replaces := ID(0)
		if r := w.apps.Find(old); r != nil {
			replaces = r.ID()
		}
		ev.New = append(ev.New, w.open(ev.Apps[i].Spec.Name, replaces))
	}
	return ev
}

func (w *world) restore(args []string) Event {
	var ev Restore
	for _, arg := range args {
		switch arg {
		case "ready":
			ev.Ready = true
			continue
		case "stopping":
			ev.Stopping = true
			continue
		case "asked":
			ev.Asked = true
			continue
		}
		words := strings.Split(arg, ":")
		o := w.open(words[0], 0)
		left := Restored{ID: o.ID, Spec: o.Spec, Ran: true}
		p := w.pools[o.ID]
		p.Phase, p.Tried = pool.PhaseRunning, true
		for _, word := range words[1:] {
			switch word {
			case "idle":
				p.Phase, p.Tried = pool.PhaseIdle, false
			case "stopping":
				p.Phase = pool.PhaseStopping
			case "killing":
				p.Phase = pool.PhaseKilling
			case "ended":
				p.Phase, left.Ended = pool.PhaseDone, true
			case "leaving":
				left.Leaving = true
			case "halted":
				left.Halted, left.Leaving = true, true
			case "ready":
				left.EverReady, p.AllReady = true, true
			case "order":
				left.Origin = FromOrder
			case "never":
				left.Ran = false
			default:
				if due, is := strings.CutPrefix(word, "due="); is {
					left.Due = w.now.Add(must(time.ParseDuration(due)))
					continue
				}
				_, err := fmt.Sscanf(word, "code=%d", &left.Code)
				must(0, err)
			}
		}
		left.Facts = p.Brief
		ev.Runs = append(ev.Runs, left)
	}
	return ev
}

func (w *world) status() string {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s", w.apps.Phase())
	if w.apps.Ready() {
		fmt.Fprint(out, " ready")
	}
	if d := w.apps.Deadline(); !d.IsZero() {
		fmt.Fprintf(out, " deadline=+%v", d.Sub(w.now))
	}
	fmt.Fprintln(out)
	for _, r := range w.apps.Runs() {
		fmt.Fprintf(out, "%s %s", w.name(r.ID()), r.State())
		if r.State() != r.Shown() {
			fmt.Fprintf(out, " shown=%s", r.Shown())
		}
		if r.code != 0 {
			fmt.Fprintf(out, " code=%d", r.code)
		}
		if r.Replaces() != 0 {
			fmt.Fprintf(out, " replaces=%s", w.name(r.Replaces()))
		}
		if next := r.NextRun(); !next.IsZero() {
			fmt.Fprintf(out, " next=%v", next.Sub(begin))
		}
		if w.apps.Listed(r.Name()) != r {
			fmt.Fprint(out, " unlisted")
		}
		if r.Missing() != "" {
			fmt.Fprintf(out, " (%s)", r.Missing())
		}
		fmt.Fprintln(out)
	}
	return out.String()
}

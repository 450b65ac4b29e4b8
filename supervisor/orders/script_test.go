package orders

import (
	"errors"
	"flag"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/script"
)

// TestScripts plays the scripts in testdata/*.txtar, in the format of package script. They are the specification of the book. Each
// story has a new book and real pools, and the words
//
//	app NAME [workers=N] [namespace=NAME] [limit=N] [needs=NAME] [patience=DURATION] [oneshot] [shared] [alone] [stopped | cold | waits]
//	                           an app with 2 workers, all ready; cold: they are only spawned; no limit: 5 failed starts
//	order VERB [APP] [slot=N] [n=N] [by] [now] [signal=NAME] [for=MS] [if-running=WORD] [reason=WORD]
//	spawned APP ID ...         facts of workers; the PID is 100 + ID
//	ready APP ID ...   up APP ID ...   unspawned APP ID ...   leaving APP ID ...   exit APP ID ... [code=N] [signal=N]
//	opened ORDER ...           the next run is prepared; unopened ORDER: it cannot be
//	own APP REASON             an order of the master's own
//	config APP ...             a config is carried out for a request, and rolls these apps
//	roll APP   scale APP N   release APP SLOT       what is done without an order
//	remove APP                 a config takes it out
//	blocked APP                what it waits for has failed
//	end APP CODE               it ends, without a word of its pool
//	patience APP DURATION      its config says so from here on
//	stopping                   the master is told to stop
//	orders N APP               so many orders to stop an app that takes its time are placed
//	pause DURATION             the book and the pools are told of it
//	status                     prints the orders
//
// An answer is what the book orders and tells, or what a pool orders of its workers. After each line the book judges. Each way
// from one phase to another is gone in some story.
func TestScripts(t *testing.T) {
	went := map[string]bool{}
	script.Run(t, time.Unix(0, 0), func(t *testing.T) *script.Core[func() error, string] {
		var out strings.Builder
		w := newWorld(&out)
		t.Cleanup(func() { maps.Copy(went, w.ways) })
		return &script.Core[func() error, string]{
			Tick:     func() error { w.tick(); return nil },
			Deadline: w.deadline,
			Describe: func(line string) string { return strings.TrimSuffix(line, "\n") },
			Command: func(_ *script.Clock, words []string) ([]func() error, string, error) {
				return []func() error{func() error { return command(w, words) }}, "", nil
			},
			Step: func(now time.Time, ev func() error) ([]string, error) {
				w.now = now
				out.Reset()
				if err := ev(); err != nil {
					return nil, err
				}
				w.rest()
				return slices.Collect(strings.Lines(out.String())), w.wrong
			},
		}
	})
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // some of the stories only
	}
	for from, all := range ways {
		for _, to := range all {
			if way := phase(from).String() + " " + to.String(); !went[way] {
				t.Errorf("no script goes from %s to %s", phase(from), to)
			}
		}
	}
}

// args are the words of a line: keys with values, and the rest.
type args struct {
	values map[string]string
	rest   []string
}

func parse(words []string) args {
	a := args{values: map[string]string{}}
	for _, word := range words {
		if key, value, is := strings.Cut(word, "="); is {
			a.values[key] = value
		} else {
			a.rest = append(a.rest, word)
		}
	}
	return a
}

func (a args) has(word string) bool { return slices.Contains(a.rest, word) }

func (a args) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(a.values[key]); err == nil {
		return n
	}
	return otherwise
}

// command carries out one line of a story.
func command(w *world, words []string) error {
	a := parse(words[1:])
	switch words[0] {
	case "app":
		return addApp(w, a)
	case "order":
		o := api.Order{Verb: a.rest[0], N: a.number("n", 0), By: a.has("by"), Now: a.has("now"), Signal: a.values["signal"],
			Reason: a.values["reason"], ForMS: float64(a.number("for", 0)), IfRunning: a.values["if-running"]}
		if len(a.rest) > 1 && a.rest[1] != "by" && a.rest[1] != "now" {
			o.App = a.rest[1]
		}
		if _, ok := a.values["slot"]; ok {
			slot := a.number("slot", 0)
			o.Slot = &slot
		}
		w.place(o)
	case "orders":
		n, _ := strconv.Atoi(a.rest[0])
		out := w.out
		w.out = io.Discard
		for range n {
			w.place(api.Order{Verb: api.VerbStop, App: a.rest[1]})
		}
		w.out = out
	case "config":
		w.asked++
		w.step(Follow{Request(w.asked), "config"})
		for _, name := range a.rest {
			w.pool(w.named(name), pool.Roll{Reason: "config"})
		}
		w.step(Followed{Request(w.asked)})
	case "own":
		w.step(Own{w.named(a.rest[0]).id, strings.Join(a.rest[1:], " ")})
	case "opened", "unopened":
		for _, word := range a.rest {
			n, _ := strconv.Atoi(word)
			var err error
			if words[0] == "unopened" {
				err = errors.New("no such file")
			}
			if !w.open(ID(n), err) {
				return errors.New("this order does not wait for it")
			}
		}
	case "remove":
		r := w.named(a.rest[0])
		r.halted, r.leaving, r.next = false, true, 0
		if !r.ended {
			w.pool(r, pool.Stop{})
			break
		}
		for i := range w.runs {
			if w.runs[i] == r {
				w.runs = append(w.runs[:i:i], w.runs[i+1:]...)
				break
			}
		}
	case "end":
		r := w.named(a.rest[0])
		r.ended, r.reason = true, "it is over"
		r.code, _ = strconv.Atoi(a.rest[1])
	case "patience":
		w.named(a.rest[0]).config.patience, _ = time.ParseDuration(a.rest[1])
	case "blocked":
		w.named(a.rest[0]).blocked = true
	case "stopping":
		w.stops = true
		for _, r := range w.runs {
			if !r.ended && !r.leaving {
				w.leave(r, false, "")
			}
		}
	case "pause":
		d, err := time.ParseDuration(a.rest[0])
		if err != nil {
			return err
		}
		w.pause(d)
	case "status":
		for _, o := range w.book.orders {
			w.say("order %d: %s %s %s, due in %v", o.id, o.Verb, o.name, o.phase, o.due.Sub(w.now))
		}
	default:
		return fact(w, words[0], a)
	}
	return nil
}

func addApp(w *world, a args) error {
	c := config{name: a.rest[0], namespace: a.values["namespace"], workers: a.number("workers", 2), limit: a.number("limit", 5),
		oneshot: a.has("oneshot"), shared: a.has("shared"), alone: a.has("alone"), needs: a.values["needs"], patience: time.Minute}
	if d, err := time.ParseDuration(a.values["patience"]); err == nil {
		c.patience = d
	}
	r := w.newRun(c, 1, c.workers)
	w.runs = append(w.runs, r)
	r.waiting = a.has("waits")
	out := w.out
	w.out = io.Discard
	defer func() { w.out = out }()
	switch {
	case a.has("stopped"):
		r.halted = true
		w.leave(r, false, "")
	case r.waiting, a.has("idle"):
	default:
		w.pool(r, pool.Start{})
		for id := range c.workers {
			w.pool(r, pool.Spawned{ID: pool.WorkerID(id + 1), PID: 101 + id})
			if !a.has("cold") {
				w.pool(r, pool.Ready{ID: pool.WorkerID(id + 1)})
			}
		}
	}
	return nil
}

// fact tells the pool of an app something.
func fact(w *world, what string, a args) error {
	r := w.named(a.rest[0])
	if r == nil {
		return errors.New("there is no such app")
	}
	for _, word := range a.rest[1:] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		id := pool.WorkerID(n)
		switch what {
		case "spawned":
			w.pool(r, pool.Spawned{ID: id, PID: 100 + n})
		case "ready":
			w.pool(r, pool.Ready{ID: id})
		case "up":
			w.pool(r, pool.Spawned{ID: id, PID: 100 + n})
			w.pool(r, pool.Ready{ID: id})
		case "unspawned":
			w.pool(r, pool.SpawnFailed{ID: id, Err: "no such file"})
		case "leaving":
			w.pool(r, pool.Leaving{ID: id})
		case "exit":
			w.pool(r, pool.Exited{ID: id, Code: a.number("code", 0), Signal: a.number("signal", 0)})
		case "scale":
			w.pool(r, pool.Scale{N: n})
		case "release":
			w.pool(r, pool.Release{Slot: n})
		default:
			return errors.New("no such command")
		}
	}
	if what == "roll" {
		w.pool(r, pool.Roll{Reason: "by hand"})
	}
	return nil
}

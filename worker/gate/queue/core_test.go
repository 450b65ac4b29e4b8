package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/script"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a core, and members that answer its offers.
type world struct {
	*core
	names map[string]ID
	room  int    // places that are free
	state string // of the members: ready, down or none
	only  []ID   // requests that can go nowhere, as they have tried every member that has room

	pending []Event
}

// play tells the core of an event and answers its offers. It returns what became of requests, one a line.
func (w *world) play(now time.Time, ev Event) (all []string) {
	events := []Event{ev}
	for len(events) > 0 {
		ev, events = events[0], events[1:]
		before := w.mode
		for _, e := range slices.Clone(w.Step(now, ev)) {
			switch e := e.(type) {
			case Offer:
				a := w.answer(e.ID)
				if a == Placed {
					w.room--
					all = append(all, fmt.Sprintf("%s is placed after %s", w.name(e.ID), now.Sub(w.waiting[e.ID].at)))
				}
				events = append(events, Offered{e.ID, a})
			case Drop:
				text := fmt.Sprintf("%s is shed after %s: %s", w.name(e.ID), e.Waited, e.Reason)
				if e.Detail != "" {
					text += ", " + e.Detail
				}
				all = append(all, text)
			}
		}
		if w.mode != before {
			all = append(all, w.mode.String())
		}
	}
	return all
}

func (w *world) answer(id ID) Answer {
	switch {
	case w.state == "down":
		return NotReady
	case w.state == "none":
		return Hopeless
	case w.room == 0, slices.Contains(w.only, id):
		return Full
	}
	return Placed
}

func (w *world) name(id ID) string {
	for name, n := range w.names {
		if n == id {
			return name
		}
	}
	return "?"
}

// TestScripts plays the scripts in testdata/*.txtar, in the format of package script. They are the specification of the core. The words
// are
//
//	options [max=N] [bytes=N] [timeout=DURATION] [target=DURATION] [interval=DURATION] [fifo]     a new queue
//	join NAME[,NAME...] [p=PRIORITY] [retry] [nowhere] [deadline=DURATION] [bytes=N]     nowhere: it can go to no member that has room
//	leave NAME
//	free [N] [took=DURATION]      N places are free beside those that are; without N: as many as there are, the queue looks itself
//	ready   down   none           the members, from the next offer on
//	show                          how many wait, and what of
//
// strict bounds waits as closely as CoDel does those of packets, so that scripts are short.
var strict = Options{Target: 5 * time.Millisecond, Interval: 100 * time.Millisecond}

func TestScripts(t *testing.T) {
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	script.Run(t, begin, func(t *testing.T) *script.Core[Event, string] {
		w := &world{core: newCore(strict), names: map[string]ID{}, state: "ready"}
		return &script.Core[Event, string]{
			Tick:     Tick{},
			Step:     func(now time.Time, ev Event) ([]string, error) { return w.play(now, ev), w.check(now) },
			Deadline: func() time.Time { return w.Deadline() },
			Describe: func(s string) string { return s },
			Command: func(clock *script.Clock, words []string) ([]Event, string, error) {
				return w.command(clock.Now, words[0], words[1:])
			},
		}
	})
}

func (w *world) command(now time.Time, verb string, words []string) (events []Event, text string, err error) {
	o, j, n, nowhere := strict, Joined{Priority: DefaultPriority}, 0, false
	f := Freed{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		number, errNumber := strconv.Atoi(value)
		d, errTime := time.ParseDuration(value)
		switch key {
		case "max":
			o.Max, err = number, errNumber
		case "bytes":
			o.MaxBytes, j.Bytes, err = int64(number), int64(number), errNumber
		case "timeout":
			o.Timeout, err = d, errTime
		case "target":
			o.Target, err = d, errTime
		case "interval":
			o.Interval, err = d, errTime
		case "fifo":
			o.FIFO = true
		case "p":
			j.Priority, err = number, errNumber
		case "retry":
			j.Retry = true
		case "nowhere":
			nowhere = true
		case "deadline":
			j.Deadline, err = now.Add(d), errTime
		case "took":
			f.Took, err = d, errTime
		default:
			if verb == "free" {
				n, err = strconv.Atoi(word)
			}
		}
		if err != nil {
			return nil, "", err
		}
	}
	switch verb {
	case "options":
		w.core = newCore(o)
		return nil, "", nil
	case "join":
		for name := range strings.SplitSeq(words[0], ",") {
			j.ID = ID(len(w.names) + 1)
			w.names[name] = j.ID
			if nowhere {
				w.only = append(w.only, j.ID)
			}
			events = append(events, j)
		}
		return events, "", nil
	case "leave":
		return []Event{Left{w.names[words[0]]}}, "", nil
	case "free":
		w.room += n
		f.Places = n
		return []Event{f}, "", nil
	case "ready", "down", "none":
		w.state = verb
		return nil, "", nil
	case "show":
		return nil, fmt.Sprintf("%s: %d wait, %d bytes, %d places, a request takes %s", w.mode, len(w.waiting), w.bytes, w.room, w.took), nil
	}
	return nil, "", fmt.Errorf("no word %q", verb)
}

// check says which rule the core has broken.
func (w *world) check(now time.Time) error {
	bytes, listed := int64(0), w.retries.n
	for i := range w.fresh {
		listed += w.fresh[i].n
	}
	for _, one := range w.waiting {
		bytes += one.Bytes
		if !one.until.After(now) {
			return fmt.Errorf("%d waits beyond its time", one.ID)
		}
		if one.until.Sub(one.at) > w.options.Timeout {
			return fmt.Errorf("%d may wait for %s", one.ID, one.until.Sub(one.at))
		}
	}
	switch at := w.Deadline(); {
	case bytes != w.bytes, listed != len(w.waiting), len(w.times) != len(w.waiting):
		return fmt.Errorf("%d bytes are %d; %d wait, %d in lists, %d in times", bytes, w.bytes, len(w.waiting), listed, len(w.times))
	case len(w.waiting) > w.options.Max, bytes > w.options.MaxBytes:
		return fmt.Errorf("%d with %d bytes wait", len(w.waiting), bytes)
	case len(w.waiting) > 0 && at.IsZero(), !at.IsZero() && !at.After(now):
		return fmt.Errorf("the deadline is %s at %s", at, now)
	case w.offered != nil:
		return errors.New("an offer has no end")
	case len(w.waiting) == 0 && w.mode != calm:
		return fmt.Errorf("nobody waits, and it is %s", w.mode)
	case w.state == "ready" && w.room > 0 && w.places != 0:
		return fmt.Errorf("%d places are left to offer", w.places)
	}
	return nil
}

// FuzzCore: whatever happens in whatever order, each request that has joined is placed, shed or gone once, the bounds hold, no place is
// free while one waits that could use it (but for retries behind many that cannot), the one that is
// placed was the next in order, and none waits beyond its time.
func FuzzCore(f *testing.F) {
	f.Add(uint64(1), []byte("requests come and go and wait"))
	f.Add(uint64(7), []byte{0, 0, 0, 0, 1, 2, 1, 0, 0, 3, 4, 5, 6, 7, 0, 0, 1, 1, 1})
	f.Add(uint64(9), slices.Repeat([]byte{0, 0, 0, 1}, 200))
	f.Fuzz(func(t *testing.T, seed uint64, events []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &world{core: newCore(Options{Max: 1 + r.IntN(40), MaxBytes: 1000, Timeout: time.Second, FIFO: r.IntN(2) == 0}), names: map[string]ID{}, state: "ready", room: r.IntN(4)}
		now := time.Unix(1e9, 0)
		open, busy := map[ID]bool{}, 0
		step := func(ev Event) {
			for _, e := range slices.Clone(w.Step(now, ev)) {
				switch e := e.(type) {
				case Drop:
					if !open[e.ID] {
						t.Fatalf("%d is shed and does not wait", e.ID)
					}
					delete(open, e.ID)
				case Offer:
					one := w.waiting[e.ID]
					for _, other := range w.waiting {
						if !one.Retry && !other.Retry && other.Priority > one.Priority {
							t.Fatalf("priority %d before %d", one.Priority, other.Priority)
						}
						if !one.Retry && other.Retry && !slices.Contains(w.only, other.ID) && w.missed < mostMissed && other.round != w.round {
							t.Fatal("a new request before one that is sent again")
						}
						if one.Priority == other.Priority && one.Retry == other.Retry && !one.Retry && one.ID != other.ID && (one.ID < other.ID) == w.newestFirst() {
							t.Fatalf("%d before %d, %s", one.ID, other.ID, w.mode)
						}
					}
					a := w.answer(e.ID)
					if a == Placed {
						w.room--
						busy++
						delete(open, e.ID)
					}
					now = now.Add(time.Duration(r.IntN(3)) * time.Microsecond)
					w.pending = append(w.pending, Offered{e.ID, a})
				}
			}
		}
		settle := func(ev Event) {
			w.pending = append(w.pending[:0], ev)
			for len(w.pending) > 0 {
				ev := w.pending[0]
				w.pending = w.pending[1:]
				step(ev)
			}
			if err := w.check(now); err != nil {
				t.Fatalf("after %T%+v: %v", ev, ev, err)
			}
			if len(open) != len(w.waiting) {
				t.Fatalf("%d wait of %d", len(w.waiting), len(open))
			}
			if w.state == "ready" && w.room > 0 {
				for id, one := range w.waiting {
					if !slices.Contains(w.only, id) && !(one.Retry && w.retries.n > mostMissed) {
						t.Fatalf("%d waits, with %d places free, %s, after %T%+v", id, w.room, w.mode, ev, ev)
					}
				}
			}
		}
		id := ID(0)
		for _, b := range events {
			now = now.Add(time.Duration(r.IntN(20)) * time.Millisecond)
			switch b % 8 {
			case 0, 1, 2:
				if b%8 != 0 && busy > 0 { // a request ends
					busy--
					w.room++
					settle(Freed{Places: 1, Took: time.Duration(r.IntN(50)) * time.Millisecond})
					continue
				}
				id++
				j := Joined{ID: id, Priority: r.IntN(10), Retry: r.IntN(8) == 0, Bytes: int64(r.IntN(100))}
				if r.IntN(4) == 0 {
					j.Deadline = now.Add(time.Duration(r.IntN(200)-10) * time.Millisecond)
				}
				if j.Retry && r.IntN(2) == 0 {
					w.only = append(w.only, id)
				}
				open[id] = true
				settle(j)
			case 3:
				if id > 0 {
					gone := 1 + ID(r.IntN(int(id)))
					delete(open, gone)
					settle(Left{gone})
				}
			case 4:
				settle(Freed{})
			case 5:
				w.state = []string{"ready", "ready", "down", "none"}[r.IntN(4)]
				settle(Freed{})
			case 6:
				w.room += r.IntN(3)
				settle(Freed{})
			default:
				if at := w.Deadline(); !at.IsZero() && at.After(now) {
					now = at
				}
				settle(Tick{})
			}
		}
	})
}

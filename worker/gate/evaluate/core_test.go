package evaluate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

const ms = int64(time.Millisecond)

// world is a core in virtual time, with members that answer after their own time.
type world struct {
	t     *testing.T
	core  core
	now   int64
	takes map[string]int64 // until a member answers; -1: it never does; absent: it refuses at once
	open  []opened

	asked  map[string][]int64 // when
	shown  []members.Table
	woken  []wake
	wokeAt []int64
	told   []told
}

type opened struct {
	at int64
	answered
}

func newWorld(t *testing.T, mode Mode, valid time.Duration, takes map[string]int64) *world {
	w := &world{t: t, now: int64(time.Hour), takes: takes, asked: map[string][]int64{}}
	w.core = core{mode: mode, requestTimeout: int64(time.Second), validTimeout: int64(valid)}
	w.do(listed{tableOf(takes)})
	return w
}

func tableOf[V any](takes map[string]V) (t members.Table) {
	for id := range takes {
		t.Members = append(t.Members, members.Member{ID: id, Address: "h:1", Weight: 1, State: members.Ready})
	}
	slices.SortFunc(t.Members, func(a, b members.Member) int { return strings.Compare(a.ID, b.ID) })
	return t
}

// do has an event happen now.
func (w *world) do(event any) {
	w.t.Helper()
	for _, effect := range w.core.step(w.now, event) {
		switch f := effect.(type) {
		case ask:
			id := f.member.ID
			if last := w.asked[id]; slices.ContainsFunc(w.open, func(o opened) bool { return o.id == id }) {
				w.t.Fatalf("%s is asked twice at a time, at %v and now", id, last)
			}
			w.asked[id] = append(w.asked[id], w.now)
			o := opened{w.now + w.takes[id], answered{id: id, report: members.Report{Stats: map[members.Stat]members.Value{members.QueueWait: 1}}}}
			if w.takes[id] < 0 || w.takes[id] > int64(time.Second) {
				o.at, o.err = w.now+int64(time.Second), errors.New("no answer in 1s")
			}
			if w.takes[id] == 0 {
				o.err = errors.New("connection refused")
			}
			w.open = append(w.open, o)
		case publish:
			w.shown = append(w.shown, f.table)
		case wake:
			w.woken, w.wokeAt = append(w.woken, f), append(w.wokeAt, w.now)
		case told:
			w.told = append(w.told, f)
		}
	}
}

// until has time pass up to at.
func (w *world) until(at int64) {
	w.t.Helper()
	for {
		slices.SortStableFunc(w.open, func(a, b opened) int { return int(a.at - b.at) })
		next := w.core.deadline()
		if len(w.open) > 0 && w.open[0].at <= next {
			next = w.open[0].at
		}
		if next > at {
			w.now = at
			return
		}
		w.now = max(w.now, next)
		if len(w.open) > 0 && w.open[0].at == next {
			e := w.open[0].answered
			w.open = w.open[1:]
			w.do(e)
		} else {
			w.do(tick{})
		}
	}
}

// request is one that comes now; it returns how long it waits, and with what it goes on.
func (w *world) request() (time.Duration, error) {
	w.t.Helper()
	began, n := w.now, len(w.woken)
	if w.now < w.untilNow() {
		return 0, nil
	}
	w.do(wanted{})
	for limit := w.now + 10*int64(time.Second); len(w.woken) == n; {
		if w.now >= limit {
			w.t.Fatal("a request waits for ever")
		}
		w.until(w.now + ms)
	}
	return time.Duration(w.wokeAt[n] - began), w.woken[n].err
}

func (w *world) untilNow() int64 {
	if len(w.woken) == 0 {
		return 0
	}
	return w.woken[len(w.woken)-1].until
}

// shows is which members are ready in the newest table, and why the others are not.
func (w *world) shows() string {
	var all []string
	for _, m := range w.shown[len(w.shown)-1].Members {
		text := m.ID
		if m.State != members.Ready || m.Aside != "" {
			text += "(" + m.Why + m.Aside + ")"
		} else if m.Report == nil {
			text += "(no report)"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func (w *world) expect(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestOnRequest: a request has all asked at the same time and goes on when all have answered. Those that come meanwhile wait for the
// same pass; a later one has all asked again.
func TestOnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 0, map[string]int64{"a": 20 * ms, "b": 50 * ms, "c": 30 * ms})
	w.expect("asked before a request", len(w.asked), 0)
	w.do(wanted{})
	w.until(w.now + 10*ms)
	w.do(wanted{}) // joins
	took, err := w.request()
	w.expect("waited", took, 40*time.Millisecond)
	w.expect("error", err, error(nil))
	w.expect("woken", len(w.woken), 1)
	w.expect("asked", len(w.asked["a"])+len(w.asked["b"])+len(w.asked["c"]), 3)
	w.expect("shows", w.shows(), "a b c")
	w.until(w.now + 1)
	if took, _ := w.request(); took != 50*time.Millisecond || len(w.asked["b"]) != 2 {
		t.Errorf("a later request waits %s, asked at %v", took, w.asked["b"])
	}
}

// TestOnRequestDead: a dead server costs one request timeout in all. It is asked in each pass, and back in the next pass after it answers.
func TestOnRequestDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 0, map[string]int64{"a": 20 * ms, "b": -1})
	took, err := w.request()
	w.expect("the first waits", took, time.Second)
	w.expect("error", err, error(nil))
	w.expect("shows", w.shows(), "a b(it is left out of the evaluation: no answer in 1s)")
	for range 100 {
		if took, err := w.request(); took > 20*time.Millisecond || err != nil {
			t.Fatalf("a later one waits %s, %v", took, err)
		}
		w.until(w.now + 20*ms)
	}
	if n := len(w.asked["b"]); n < 4 || n > 6 { // in 4 s
		t.Errorf("the dead server is asked %d times beside", n)
	}
	w.takes["b"] = 10 * ms
	w.until(w.now + 2*int64(time.Second))
	_, _ = w.request() // asks it beside
	w.until(w.now + 100*ms)
	w.expect("told", w.told[len(w.told)-1], told{text: "server sends its statistics again", id: "b"})
	_, _ = w.request()
	w.expect("shows", w.shows(), "a b")
}

// TestOnRequestRefused: a server that refuses costs nothing: nobody waits for it.
func TestOnRequestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 0, map[string]int64{"a": 20 * ms, "b": 0})
	took, _ := w.request()
	w.expect("waited", took, 20*time.Millisecond)
	w.expect("shows", w.shows(), "a b(it is left out of the evaluation: connection refused)")
}

// TestOnRequestValid: a result counts for ValidTimeout from its end on.
func TestOnRequestValid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 500*time.Millisecond, map[string]int64{"a": 20 * ms})
	_, _ = w.request()
	for _, at := range []int64{1, 499 * ms} {
		w.until(w.wokeAt[0] + at)
		if took, _ := w.request(); took != 0 || len(w.asked["a"]) != 1 {
			t.Errorf("after %s: waited %s, asked %d times", time.Duration(at), took, len(w.asked["a"]))
		}
	}
	w.until(w.wokeAt[0] + 500*ms)
	if took, _ := w.request(); took != 20*time.Millisecond {
		t.Errorf("waited %s", took)
	}
}

// TestAllOut: where nobody answers the last result stays, and its age is told; where there was none, a request fails with what is wrong
// with each.
func TestAllOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 0, map[string]int64{"a": 0, "b": -1})
	took, err := w.request()
	var none *NoneError
	if took != time.Second || !errors.As(err, &none) || err.Error() != "no server has sent its statistics: a: connection refused; b: no answer in 1s" {
		t.Errorf("%s, %v", took, err)
	}
	w.expect("shows", w.shows(), "a(it is left out of the evaluation: it was not asked yet) b(it is left out of the evaluation: it was not asked yet)")
	w.takes = map[string]int64{"a": 10 * ms, "b": 10 * ms}
	w.until(w.now + 2*int64(time.Second))
	if _, err := w.request(); err != nil {
		t.Fatal(err)
	}
	w.until(w.now + 100*ms)
	_, _ = w.request()
	w.takes = map[string]int64{"a": 0, "b": 0}
	for range 5 {
		w.until(w.now + int64(time.Second))
		if took, err := w.request(); took != 0 || err != nil {
			t.Errorf("%s, %v", took, err)
		}
		w.expect("shows", w.shows(), "a b")
	}
	last := w.told[len(w.told)-1]
	if !last.warn || !strings.Contains(last.text, "old evaluation") || !strings.HasPrefix(last.why, "3.0") {
		t.Errorf("told %+v", last)
	}
	w.takes = map[string]int64{"a": 10 * ms, "b": 0}
	_, _ = w.request()
	w.until(w.now + 100*ms)
	_, _ = w.request()
	w.expect("told", w.told[len(w.told)-1].text, "servers are picked by a new evaluation")
	w.expect("shows", w.shows(), "a b(it is left out of the evaluation: connection refused)")
}

// TestContinuous: a pass begins at each beat, also where one server is slower than the beat and another is dead; no request waits but for
// the first pass.
func TestContinuous(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Continuous, 100*time.Millisecond, map[string]int64{"a": 20 * ms, "b": -1, "c": 150 * ms})
	took, err := w.request()
	w.expect("the first waits", took <= 100*time.Millisecond, true)
	w.expect("error", err, error(nil))
	began := w.asked["a"][0]
	w.until(began + 10*int64(time.Second) - 1)
	if n := len(w.asked["a"]); n != 100 {
		t.Errorf("%d passes in 10 s", n)
	}
	for i, at := range w.asked["a"] {
		if at != began+int64(i)*100*ms {
			t.Errorf("pass %d begins %s late", i, time.Duration(at-began-int64(i)*100*ms))
		}
	}
	if took, _ := w.request(); took != 0 {
		t.Errorf("a request waits %s", took)
	}
	w.expect("shows", w.shows(), "a b(it is left out of the evaluation: no answer in 1s) c")
	if n := len(w.asked["c"]); n < 49 || n > 51 {
		t.Errorf("the slow server is asked %d times, and always one at a time", n)
	}
	w.takes["b"] = 20 * ms
	w.until(w.now + 2*int64(time.Second))
	w.expect("shows", w.shows(), "a b c")
	// A dead server is told once, and so is its return.
	w.expect("told", len(w.told), 2)
}

// TestContinuousAge: an evaluation that is older than three intervals is told.
func TestContinuousAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Continuous, 100*time.Millisecond, map[string]int64{"a": 20 * ms})
	w.until(w.now + 250*ms)
	w.takes["a"] = 0
	w.until(w.now + 200*ms)
	for _, told := range w.told {
		if strings.Contains(told.text, "old evaluation") {
			t.Errorf("told too early: %+v", told)
		}
	}
	w.until(w.now + 200*ms)
	if last := w.told[len(w.told)-1]; !strings.Contains(last.text, "old evaluation") {
		t.Errorf("told %+v", w.told)
	}
	w.expect("shows", w.shows(), "a")
	if took, err := w.request(); took != 0 || err != nil {
		t.Errorf("%s, %v", took, err)
	}
}

// TestContinuousNone: in continuous mode too, a request fails with the reasons where there has been no result, and does not wait for the
// next beat.
func TestContinuousNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Continuous, time.Minute, map[string]int64{"a": 0})
	w.until(w.now + int64(time.Second))
	took, err := w.request()
	var none *NoneError
	if took != 0 || !errors.As(err, &none) {
		t.Errorf("%s, %v", took, err)
	}
}

// TestTables: a member that comes is left out until it was asked; one that goes, or that the master has down, is neither asked nor waited
// for.
func TestTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, OnRequest, 0, map[string]int64{"a": 20 * ms, "b": -1})
	w.do(wanted{})
	w.until(w.now + 100*ms)
	w.expect("woken", len(w.woken), 0) // b is waited for
	table := tableOf(w.takes)
	table.Members[1].State, table.Members[1].Why = members.Down, "checks fail"
	w.do(listed{table})
	w.expect("woken", len(w.woken), 1)
	w.expect("shows", w.shows(), "a b(checks fail)")
	w.takes["c"] = 10 * ms
	delete(w.takes, "b")
	w.do(listed{tableOf(w.takes)})
	w.expect("shows", w.shows(), "a c(it is left out of the evaluation: it was not asked yet)")
	_, _ = w.request()
	w.expect("shows", w.shows(), "a c")
	w.do(listed{members.Table{}})
	if _, err := w.request(); err != nil {
		t.Error(err) // what is picked from is empty, and says so
	}
}

// TestRandom: whatever happens, no request waits longer than a request timeout, a member has one question at most, and a result shows only
// members that the table has ready.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		takes := map[string]int64{}
		for i := range 1 + r.IntN(4) {
			takes[fmt.Sprint("m", i)] = 10 * ms
		}
		mode, valid := OnRequest, time.Duration(r.IntN(2)*300)*time.Millisecond
		if r.IntN(2) == 0 {
			mode, valid = Continuous, time.Duration(50+r.IntN(2000))*time.Millisecond
		}
		w := newWorld(t, mode, valid, takes)
		for range 60 {
			for id := range takes {
				switch r.IntN(8) {
				case 0:
					takes[id] = -1
				case 1:
					takes[id] = 0
				case 2:
					takes[id] = int64(r.IntN(1500)) * ms
				case 3:
					takes[id] = ms
				}
			}
			if r.IntN(6) == 0 {
				table := tableOf(takes)
				table.Members[0].State = members.States[r.IntN(len(members.States))]
				w.do(listed{table})
			}
			if took, _ := w.request(); took > time.Second {
				t.Fatalf("seed %d: a request waits %s", seed, took)
			}
			w.until(w.now + int64(r.IntN(700))*ms)
			if len(w.shown) == 0 {
				continue
			}
			for i, m := range w.shown[len(w.shown)-1].Members {
				if m.State == members.Ready && m.Aside == "" && (m.Report == nil || w.core.table.Members[i].State != members.Ready) {
					t.Fatalf("seed %d: shows %+v", seed, m)
				}
			}
		}
	}
}

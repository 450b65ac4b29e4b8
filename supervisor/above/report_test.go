package above

import (
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// heard collects what a Report tells, in order, without the times.
type heard struct{ lines chan string }

func open(t *testing.T, interval time.Duration, now time.Time) (*Report, func() []string) {
	t.Helper()
	h := heard{make(chan string, 100)}
	r := Open(func(lines ...string) error {
		for _, l := range lines {
			name, value, _ := strings.Cut(l, "=")
			if name == "MONOTONIC_USEC" {
				value = ""
			}
			h.lines <- name + "=" + value
		}
		return nil
	}, func(error) {}, interval, now)
	return r, func() (all []string) {
		r.Close(false)
		close(h.lines)
		for l := range h.lines {
			all = append(all, l)
		}
		return all
	}
}

func well() bool { return true }

// TestReport: a change is told with RELOADING and READY around it, and nothing is told twice.
func TestReport(t *testing.T) {
	now := time.Unix(1000, 0)
	r, all := open(t, 0, now)
	r.Ready()
	is := State{Ready: true, Status: "1 app"}
	look := func() State { return is }
	for range 3 {
		r.Tell(now, well, look)
		now = now.Add(pace)
	}
	if next := r.Next(); !next.IsZero() {
		t.Errorf("nothing has changed, and the next look is at %v", next)
	}
	r.MarkStale()
	is.Changing = true
	r.Tell(now, well, look)
	r.MarkStale()
	is.Changing = false
	if r.IsDue(now) {
		t.Error("two looks without the pace between them")
	}
	r.LookSoon()
	r.Tell(now, well, look)
	r.BeginReload(true)
	r.EndReload()
	r.Tell(now.Add(pace), well, look)
	r.Stopping()
	r.Stopping()
	var changes []string
	for _, l := range all() {
		if !strings.HasPrefix(l, "STATUS") {
			changes = append(changes, l)
		}
	}
	want := "READY=1 RELOADING=1 MONOTONIC_USEC= READY=1 RELOADING=1 MONOTONIC_USEC= READY=1 STOPPING=1"
	if got := strings.Join(changes, " "); got != want {
		t.Errorf("told\n%s, want\n%s", got, want)
	}
}

// TestSignsOfLife: they come at their interval, and not while an app is lifeless; that is reported once in a row.
func TestSignsOfLife(t *testing.T) {
	now := time.Unix(1000, 0)
	told := make(chan string)
	r := Open(func(lines ...string) error {
		for _, l := range lines {
			if l == "WATCHDOG=1" {
				told <- l
			}
		}
		return nil
	}, func(error) {}, time.Second, now)
	defer r.Close(false)
	reports := 0
	for i := range 10 {
		lives := i < 4 || i >= 7
		if r.Tell(now, func() bool { return lives }, func() State { return State{} }) {
			reports++
		}
		if lives {
			eventually.Receive(t, "a sign of life", told)
		}
		now = r.Next()
	}
	if reports != 1 {
		t.Errorf("a lifeless app was reported %d times", reports)
	}
}

// TestNoReport: a master with no process above tells nothing.
func TestNoReport(t *testing.T) {
	var r *Report
	r.Ready()
	r.BeginReload(true)
	r.EndReload()
	r.MarkStale()
	r.LookSoon()
	r.Stopping()
	r.Ping()
	if r.Tell(time.Now(), nil, nil) || r.IsDue(time.Now()) || !r.Next().IsZero() || r.Interval() != 0 || r.Reloading() {
		t.Error("a nil Report has something to do")
	}
	r.Close(true)
}

package script

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// alarm is a pure core to test the runner with: it rings every so often, and says when it was told of a pause.
type alarm struct {
	next  time.Time
	every time.Duration
}

func (a *alarm) step(now time.Time, ev string) ([]string, error) {
	switch {
	case ev == "tick" && !a.next.IsZero() && !now.Before(a.next):
		a.next = a.next.Add(a.every)
		return []string{"ring"}, nil
	case ev == "break":
		return []string{"broken"}, errors.New("a rule is broken")
	case ev == "panic":
		panic("the core panics")
	case ev == "tick":
		return nil, nil
	}
	return []string{"heard " + ev}, nil
}

func newAlarm(*testing.T) *Core[string, string] {
	a := &alarm{}
	return &Core[string, string]{
		Tick:     "tick",
		Step:     a.step,
		Deadline: func() time.Time { return a.next },
		Describe: func(e string) string { return e },
		Command: func(clock *Clock, words []string) ([]string, string, error) {
			switch words[0] {
			case "every": // seconds
				n, err := strconv.Atoi(words[1])
				a.every = time.Duration(n) * time.Second
				a.next = clock.Now.Add(a.every)
				return nil, "", err
			case "stuck":
				a.every = 0
				a.next = clock.Now.Add(time.Second)
				return nil, "", nil
			case "jump":
				clock.Now = clock.Now.Add(time.Hour)
				return nil, "", nil
			case "status":
				return nil, "one\ntwo", nil
			case "unknown":
				return nil, "", errors.New("unknown command")
			}
			return []string{strings.Join(words, " ")}, "", nil
		},
	}
}

// TestScripts plays this package's own scripts: they show the format.
func TestScripts(t *testing.T) { Run(t, time.Unix(0, 0), newAlarm) }

// TestUpdate: a file whose answers are missing or wrong is written, and then is what a run without -update accepts.
func TestUpdate(t *testing.T) {
	right, err := os.ReadFile("testdata/alarm.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var bare strings.Builder
	for line := range strings.Lines(string(right)) {
		if !strings.HasPrefix(line, " ") {
			bare.WriteString(line)
		}
	}
	file := filepath.Join(t.TempDir(), "alarm.txtar")
	for name, before := range map[string]string{"no answers": bare.String(), "wrong answers": strings.ReplaceAll(string(right), "ring", "rang")} {
		if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		runFile(t, file, true, time.Unix(0, 0), newAlarm)
		if got, err := os.ReadFile(file); err != nil || string(got) != string(right) {
			t.Errorf("%s: -update writes, %v,\n%s", name, err, got)
		}
	}
}

func TestWhatGoesWrong(t *testing.T) {
	for story, want := range map[string]string{
		"unknown\nafter\n":  "unknown: at 0s: unknown command",
		"wait\n":            `wait: at 0s: "wait" has no duration`,
		"at soon\n":         `at soon: at 0s: time: invalid duration "soon"`,
		"at 3s panic\n":     "at 3s panic: at 3s: panic: the core panics",
		"stuck\nwait 1m\n":  "wait 1m: at 1s: after 10000 ticks the next deadline is 1s after the beginning",
		"break\n\n# more\n": "break: at 0s: a rule is broken",
	} {
		_, errs := Play([]byte(story), time.Unix(0, 0), newAlarm(t))
		if len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%q: %v, want %s", story, errs, want)
		}
	}
}

// TestABrokenRuleEndsNoStory: what follows is still played, so that the text shows where the core goes on.
func TestABrokenRuleEndsNoStory(t *testing.T) {
	got, _ := Play([]byte("break\nafter\n"), time.Unix(0, 0), newAlarm(t))
	if want := "break\n    broken\nafter\n    heard after\n"; string(got) != want {
		t.Errorf("got\n%s", got)
	}
}

func TestDifference(t *testing.T) {
	want := "a\nb\nc\nd\ne\nf\n"
	got := difference([]byte(want), []byte("a\nb\nc\nd\nE\nf\n"))
	if w := "expected:\nb\nc\nd\ne\nf\n\ngot:\nb\nc\nd\nE\nf\n"; got != w {
		t.Errorf("got %q", got)
	}
}

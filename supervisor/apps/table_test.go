package apps

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// situations put the run x into each state. Beside it runs one that serves, so that the master stays.
var situations = map[State]string{
	Waiting:  "app dep/app x needs=dep watch/begin y dep x/up y",
	Blocked:  "app x needs=nobody watch/begin y x/up y",
	Running:  "begin y x/up y x",
	Ending:   "begin y x/up y x/phase x stopping",
	Leaving:  "app user needs=x/begin y x user/up y x/up user/stop user/stop x",
	Stopping: "begin y x/up y x/stop x",
	Killing:  "begin y x/up y x/stop x now",
	Later:    "app x oneshot not-at-start watch/begin y x/up y",
	Finished: "app x oneshot watch/begin y x/up y/end x",
	Failed:   "app x oneshot watch/begin y x/up y/end x 70 failed",
	Stopped:  "begin y x/up y x/stop x/end x",
	Gone:     "begin y x/up y x/config y=/end x",
}

// TestEveryEventInEveryState is the table of what becomes of a run. In each cell is the state that the event leads to, and what
// is ordered for the run besides records, the save and the order of runs. No event is without a cell.
func TestEveryEventInEveryState(t *testing.T) {
	events := map[string]string{
		"tick": "", "stepped": "stepped", "done": "end x", "failed": "end x 70 why", "hook ended": "hook x on_crash", "crash": "crash x", "changed": "changed x f",
		"stop": "stop x", "stop now": "stop x now", "next": "next x", "none": "none x", "leave": "leave x why", "next, leave": "next x/leave x why", "next, leave now": "next x/leave x now",
		"next, stop": "next x/stop x", "exchange": "exchange x", "needs": "needs x", "config same": "config y= x=", "config rolls": "config y= x+", "config without": "config y=",
		"config with a successor": "config y= z>x", "master stops": "master own why", "master is killed": "master kill why", "opening": "opening", "resumed": "resumed",
	}
	got := map[State]map[string]string{}
	for state, story := range situations {
		got[state] = map[string]string{}
		for name, line := range events {
			got[state][name] = cell(t, state, story, line)
		}
	}
	text := table(got)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile("testdata/table.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/table.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("the core does something else (-update writes it): see git diff; got\n%s", text)
	}
}

func table(got map[State]map[string]string) string {
	var b strings.Builder
	b.WriteString("What becomes of a run in each state with each event: its next state, and what is ordered for it.\n")
	for state := Waiting; int(state) < States; state++ {
		fmt.Fprintf(&b, "\n%s\n", state)
		names := make([]string, 0, len(got[state]))
		for name := range got[state] {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(&b, "    %-24s %s\n", name, got[state][name])
		}
	}
	return b.String()
}

func cell(t *testing.T, state State, story, line string) string {
	t.Helper()
	w := newWorld(Limits{})
	w.mayImpose = true
	for _, name := range []string{"x", "y", "z", "dep", "user"} {
		w.specs[name], w.wants[name] = spec(t, name, []string{"watch", "hooks=on_crash"})
	}
	play := func(line string) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			w.now = w.now.Add(time.Minute)
			if err := w.step(Tick{}); err != nil {
				t.Fatal(err)
			}
			return
		case words[0] == "app":
			w.specs[words[1]], w.wants[words[1]] = spec(t, words[1], words[2:])
			return
		case words[0] == "stepped":
			r := w.run("x")
			if err := w.step(Stepped{App: r.ID(), Facts: w.pools[r.ID()].Brief}); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := w.line(words[0], words[1:]...); err != nil {
			t.Fatalf("%s, %s: %s: %v", story, line, words, err)
		}
	}
	for line := range strings.SplitSeq(story, "/") {
		play(line)
	}
	id := w.run("x").ID()
	if is := w.run("x").State(); is != state {
		t.Fatalf("%s: x is %s, want %s", story, is, state)
	}
	w.said = nil
	for line := range strings.SplitSeq(line, "/") {
		play(line)
	}
	out := "forgotten"
	if r := w.apps.Run(id); r != nil {
		out = r.State().String()
	}
	for _, text := range w.said {
		words := strings.Fields(text)
		about := slices.ContainsFunc(words, func(s string) bool { return s == "x" || strings.HasPrefix(s, "x#") || s == fmt.Sprintf("#%d", id) })
		if strings.HasPrefix(text, "- impossible") || about && words[0] != "-" && words[0] != "runs:" && words[0] != "save" {
			out += " / " + strings.TrimPrefix(text, "- ")
		}
	}
	return out
}

// TestDiagram holds that the description of the package shows each change of a state that there is, and no other: all that the
// table and the scripts bring about.
func TestDiagram(t *testing.T) {
	seen := map[string]bool{}
	edges = func(from, to State) { seen[from.String()+" "+to.String()] = true }
	defer func() { edges = nil }()
	t.Run("table", TestEveryEventInEveryState)
	t.Run("scripts", TestScripts)

	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(source), "# Every change of a state")
	shown := map[string]bool{}
	for line := range strings.SplitSeq(after, "\n") {
		from, to, is := strings.Cut(strings.TrimPrefix(line, "//\t"), "→")
		if !is || !strings.HasPrefix(line, "//\t") {
			continue
		}
		for name := range strings.FieldsSeq(to) {
			shown[strings.TrimSpace(from)+" "+name] = true
		}
	}
	for edge := range seen {
		if !shown[edge] {
			t.Errorf("doc.go does not show %s", edge)
		}
	}
	for edge := range shown {
		if !seen[edge] {
			t.Errorf("doc.go shows %s, which never happens", edge)
		}
	}
	for _, name := range stateNames[1:] {
		if !strings.Contains(string(source), name) {
			t.Errorf("doc.go does not speak of %s", name)
		}
	}
}

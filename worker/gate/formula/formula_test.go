package formula

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
)

func compile(t testing.TB, text string, own ...members.Stat) *Formula {
	t.Helper()
	f, err := Compile(text, own...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestScore(t *testing.T) {
	t.Parallel()
	stats := map[members.Stat]members.Value{members.CPUIdle: 0.25, members.QueueWait: 8, members.MemoryFree: 1000, members.RTT: 20, "jobs": 3}
	for text, want := range map[string]float64{
		"queue_wait_ms":                           8,
		"queue_wait_ms + 100 * (1 - cpu_idle)":    83,
		"jobs ** 2 / 2":                           4.5,
		"max(jobs, queue_wait_ms) - abs(-jobs)":   5,
		"cpu_idle < 0.5 ? jobs : queue_wait_ms":   3,
		"cpu_idle > 0.5 or jobs == 3 ? jobs : 2":  3,
		"(ram*(1-(cpu*0.01))*elapsedtime)/3":      1000 * 0.75 * 0.02 / 3,
		"memory_free * cpu_idle / rtt_ms":         12.5,
		"round(rtt_ms/3) + floor(0.5) + ceil(.5)": 8,
		"1*jobs": 3,
	} {
		f := compile(t, strings.ReplaceAll(text, "floor(0.5)", "floor(jobs/6)"), "jobs")
		if got, ok := f.Score(stats); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, %v, want %v", text, got, ok, want)
		}
	}
}

// TestMissing: where a statistic is missing there is no number, also where it would not have been looked at.
func TestMissing(t *testing.T) {
	t.Parallel()
	f := compile(t, "cpu_idle > 0.5 ? 1 : queue_wait_ms")
	if v, ok := f.Score(map[members.Stat]members.Value{members.CPUIdle: 0.9}); ok {
		t.Errorf("%v", v)
	}
}

// TestRefused: what is not arithmetic of known statistics is refused, with the reason.
func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "unexpected token",
		"1 + 2":                                "it has no statistic",
		"cpu_idle +":                           "unexpected token",
		"cpu_idel * 2":                         `there is no statistic "cpu_idel": there are anonymous_sessions, connections, cpu, cpu_idle`,
		"cpu_idle > 1":                         "expected float64",
		"map(1..1000000000, cpu_idle)":         ".. is not allowed",
		"cpu_idle in 1..9":                     "is not allowed",
		"[cpu_idle][0]":                        "is not arithmetic",
		"(1..1000000)[cpu_idle]":               "is not",
		"let x = cpu_idle; x":                  `there is no statistic "x"`,
		`cpu_idle == "a" ? 1 : 2`:              "is not arithmetic",
		"now() + cpu_idle":                     "now is not allowed",
		"cpu_idle.x":                           "is not arithmetic",
		"cpu_idle | abs()":                     "",
		strings.Repeat("cpu_idle+", 150) + "1": "it has 1351 bytes",
		strings.Repeat("-", 300) + "rtt_ms":    "exceeds maximum allowed nodes",
		strings.Repeat("(", 400) + "rtt_ms" + "/rtt_ms": "unexpected token",
	} {
		f, err := Compile(text)
		if want == "" {
			continue // either is right, as long as it does not panic
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, %v, want %q", text, f, err, want)
		}
	}
	var unknown *UnknownError
	if _, err := Compile("cpu_idel"); !errors.As(err, &unknown) || unknown.Name != "cpu_idel" {
		t.Errorf("%v", err)
	}
}

// TestWarnings: of the formula of the reverse proxy's document, two of three terms are wrong where the highest wins, and the third where
// the lowest does. What is meant has no warning.
func TestWarnings(t *testing.T) {
	t.Parallel()
	const document = "(ram*(1-(cpu*0.01))*elapsedtime)/3"
	for _, c := range []struct {
		text        string
		highestWins bool
		want        []string
	}{
		{document, true, []string{"cpu (cpu_idle) has the wrong sign: more of it makes a member look worse", "elapsedtime (rtt_ms) has the wrong sign: more of it makes a member look better"}},
		{document, false, []string{"ram (memory_free) has the wrong sign: more of it makes a member look worse"}},
		{"ram * cpu / elapsedtime", true, nil},
		{"rtt_ms / (memory_free * cpu_idle)", false, nil},
		{"queue_wait_ms + sessions", false, nil},
		{"queue_wait_ms + sessions", true, []string{"queue_wait_ms has", "sessions has"}},
		{"(rtt_ms - 10) ** 2", false, nil}, // it depends
		{"jobs * 0 + rtt_ms", false, nil},
	} {
		got := compile(t, c.text, "jobs").Warnings(c.highestWins)
		ok := len(got) == len(c.want)
		for i := range got {
			ok = ok && strings.HasPrefix(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s, highest wins: %v: %q, want %q", c.text, c.highestWins, got, c.want)
		}
	}
}

// TestPicks: a gateway picks by a formula. A member for which it has no number, as by a division by zero, is unknown.
func TestPicks(t *testing.T) {
	t.Parallel()
	f := compile(t, "memory_free * cpu_idle / rtt_ms")
	p, err := gate.New(gate.Options{Way: gate.ByScore, Score: gate.Score{Formula: f.Score, HighestWins: true}})
	if err != nil {
		t.Fatal(err)
	}
	var all members.Table
	for i, rtt := range []float64{4, 1, 0} {
		all.Members = append(all.Members, members.Member{ID: fmt.Sprint("m", i), Address: "h:1", Weight: 1, State: members.Ready, Report: &members.Report{
			Stats: map[members.Stat]members.Value{members.MemoryFree: 1e9, members.CPUIdle: 0.5, members.RTT: rtt}}})
	}
	p.Update(all, 1)
	got := map[string]int{}
	for range 7 {
		k, err := p.Pick(gate.Request{Now: 2})
		if err != nil {
			t.Fatal(err)
		}
		got[k.Member().ID]++
	}
	if got["m2"] != 1 || got["m1"] <= got["m0"] {
		t.Errorf("%v: more for the second, and one for the third, which is unknown, are expected", got)
	}
}

// FuzzCompile: no text makes it panic, and what it accepts gives a number or says that it has none.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"(ram*(1-(cpu*0.01))*elapsedtime)/3", "max(rtt_ms, 1) ** 2", "cpu_idle ? 1 : 2", "1..2", "not (rtt_ms > 2) ? 1 : 0", "min([1,2])", "abs()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Compile(text)
		if err != nil {
			return
		}
		for _, highest := range []bool{true, false} {
			c.Warnings(highest)
		}
		stats := map[members.Stat]members.Value{}
		for _, s := range members.Stats {
			stats[s] = 1
		}
		c.Score(stats)
	})
}

func BenchmarkScore(b *testing.B) {
	f := compile(b, "(ram*(1-(cpu*0.01))*elapsedtime)/3")
	stats := map[members.Stat]members.Value{members.MemoryFree: 1e9, members.CPUIdle: 0.5, members.RTT: 3}
	for b.Loop() {
		f.Score(stats)
	}
}

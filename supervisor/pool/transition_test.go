package pool

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTransitions: the list in doc.go has each transition that an event, a command or time causes in one of the situations,
// and no other. TestEveryEventInEveryState holds what is ordered with it.
func TestTransitions(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) +──▶ (\w+) +(\w+(?:, \w+)*)$`).FindAllStringSubmatch(string(doc), -1) {
		for cause := range strings.SplitSeq(m[3], ", ") {
			listed[m[1]+" ──▶ "+m[2]+" by "+cause] = true
		}
	}
	seen := map[string]bool{}
	for _, situation := range situations {
		id := WorkerID(2)
		if strings.HasPrefix(situation.name, "standby") {
			id = 3
		}
		causes := map[string]Event{
			"Spawned": Spawned{id, 102}, "SpawnFailed": SpawnFailed{id, "why"}, "Ready": Ready{id}, "Parked": Parked{id},
			"Leaving": Leaving{id, "why"}, "Exited": Exited{ID: id}, "Recycle": Recycle{id, "why", true},
			"Stalled": Stalled{id, "why"}, "Resumed": Resumed{id},
			"Scale": Scale{1}, "HoldRequests": HoldRequests{}, "PassRequests": PassRequests{}, "Roll": Roll{}, "Stop": Stop{}, "Kill": Kill{},
			"time": Tick{},
		}
		if id == 3 {
			causes["Assign"] = Exited{ID: 2, Code: 1} // of the worker in slot 1
		}
		for cause, ev := range causes {
			p, now := arrange(t, situation.events, true)
			w := p.workers[id]
			if w == nil {
				continue
			}
			from, to := w.state.String(), ""
			if cause == "time" {
				for range 10 { // the deadlines of others, and a second signal, come first
					if now = p.Deadline(); now.IsZero() {
						break
					}
					to, _, _ = strings.Cut(outcome(p, id, now, ev), " / ")
					if to != from {
						break
					}
				}
			} else {
				to, _, _ = strings.Cut(outcome(p, id, now, ev), " / ")
			}
			if to == "-" {
				to = StateGone.String()
			}
			if to != "" && to != "impossible" && to != from {
				seen[from+" ──▶ "+to+" by "+cause] = true
			}
		}
	}
	for _, transition := range slices.Sorted(maps.Keys(seen)) {
		if !listed[transition] {
			t.Errorf("doc.go does not have %s", transition)
		}
	}
	for _, transition := range slices.Sorted(maps.Keys(listed)) {
		if !seen[transition] {
			t.Errorf("doc.go has %s, which does not happen", transition)
		}
	}
}

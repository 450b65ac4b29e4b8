package pool

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// situations bring worker 2, in slot 1 of two with worker 1 ready in slot 0, to every state that a worker can be in; and
// worker 3, a standby beside the two.
var situations = []struct {
	name   string
	events string
}{
	{"ordered", "start/up 1"},
	{"starting", "start/up 1/spawned 2"},
	{"ready", "start/up 1 2"},
	{"draining", "start/up 1 2/scale 1"},
	{"ordered, to sweep", "start/up 1/scale 1"},
	{"starting, to sweep", "start/up 1/spawned 2/scale 1"},
	{"killing", "start/up 1 2/scale 1/tick"},
	{"killing, no PID", "start/up 1/recycle 2"},
	{"abandoned", "start/up 1 2/scale 1/tick/tick/tick"},
	{"abandoned, no PID", "start/up 1/recycle 2/tick/tick"},
	{"exited", "start/up 1 2/scale 1/exit 2"},
	{"failed", "start/up 1/failed 2"},
	{"unknown", "start/spawned 1/ready 1"},
	{"standby, ordered", "standby/start/up 1 2"},
	{"standby, starting", "standby/start/up 1 2/spawned 3"},
	{"standby", "standby/start/up 1 2/spawned 3/parked 3"},
	{"standby, stalled", "standby/start/up 1 2/spawned 3/parked 3/stalled 3"},
	{"standby, draining", "standby/start/up 1 2/spawned 3/leaving 3"},
	{"standby, killing", "standby/start/up 1 2/spawned 3/recycle 3"},
	{"standby, assigned", "standby/start/up 1 2/spawned 3/parked 3/exit 2 code=1"},
	{"standby, exited", "standby/start/up 1 2/spawned 3/exit 3"},
}

// TestEveryEventInEveryState holds what each event does to a worker in each state: the state that follows, "-" if it is
// forgotten, and "impossible" if the event cannot happen then. After the slash: what is ordered because of it, but records.
func TestEveryEventInEveryState(t *testing.T) {
	type row map[string]string
	table := map[string]row{
		"ordered": {
			"spawned": "starting", "failed": "- / spawn 3 slot=1 gen=1", "ready": "impossible", "leaving": "impossible",
			"exit": "impossible", "crash": "impossible", "recycle": "killing",
			"parked": "impossible", "stalled": "starting", "resumed": "starting",
		},
		"starting": {
			"spawned": "impossible", "failed": "impossible", "ready": "ready / steer to 0 1", "leaving": "draining / spawn 3 slot=1 gen=1",
			"exit": "-", "crash": "- / spawn 3 slot=1 gen=1", "recycle": "killing / SIGTERM 2 (why)",
			"parked": "starting", "stalled": "starting", "resumed": "starting",
		},
		"ready": {
			"spawned": "impossible", "failed": "impossible", "ready": "ready", "leaving": "draining / steer to 0 / spawn 3 slot=1 gen=1",
			"exit": "- / steer to 0", "crash": "- / steer to 0 / spawn 3 slot=1 gen=1",
			"recycle": "ready / dump 2 (why) / spawn 3 slot=1 gen=1",
			"parked":  "ready", "stalled": "ready / steer to 0", "resumed": "ready",
		},
		"draining": {
			"spawned": "impossible", "failed": "impossible", "ready": "draining", "leaving": "draining",
			"exit": "- / retire slot 1", "crash": "- / spawn 3 slot=1 gen=1", "recycle": "draining",
			"parked": "draining", "stalled": "draining", "resumed": "draining",
		},
		"ordered, to sweep": {
			"spawned": "starting", "failed": "- / spawn 3 slot=1 gen=1", "ready": "impossible", "leaving": "impossible",
			"exit": "impossible", "crash": "impossible", "recycle": "killing",
			"parked": "impossible", "stalled": "starting", "resumed": "starting",
		},
		"starting, to sweep": {
			"spawned": "impossible", "failed": "impossible", "ready": "draining / drain 2 slot=1 linger (scaled down)",
			"leaving": "draining", "exit": "- / retire slot 1", "crash": "- / spawn 3 slot=1 gen=1",
			"recycle": "killing / SIGTERM 2 (why)",
			"parked":  "starting", "stalled": "starting", "resumed": "starting",
		},
		"killing": {
			"spawned": "impossible", "failed": "impossible", "ready": "killing", "leaving": "killing",
			"exit": "- / retire slot 1", "crash": "- / spawn 3 slot=1 gen=1", "recycle": "killing",
			"parked": "killing", "stalled": "killing", "resumed": "killing",
		},
		"killing, no PID": {
			"spawned": "killing / SIGTERM 2 (recycle)", "failed": "- / spawn 3 slot=1 gen=1", "ready": "killing",
			"leaving": "killing", "exit": "impossible", "crash": "impossible", "recycle": "killing",
			"parked": "killing", "stalled": "killing", "resumed": "killing",
		},
		"abandoned": {
			"spawned": "impossible", "failed": "impossible", "ready": "gone", "leaving": "gone",
			"exit": "-", "crash": "-", "recycle": "gone",
			"parked": "gone", "stalled": "gone", "resumed": "gone",
		},
		"abandoned, no PID": {
			"spawned": "gone / SIGKILL 2 (recycle)", "failed": "-", "ready": "gone", "leaving": "gone",
			"exit": "impossible", "crash": "impossible", "recycle": "gone",
			"parked": "gone", "stalled": "gone", "resumed": "gone",
		},
		"exited": {
			"spawned": "impossible", "failed": "impossible", "ready": "-", "leaving": "-",
			"exit": "impossible", "crash": "impossible", "recycle": "-",
			"parked": "-", "stalled": "-", "resumed": "-",
		},
		"failed": {
			"spawned": "impossible", "failed": "impossible", "ready": "-", "leaving": "-",
			"exit": "impossible", "crash": "impossible", "recycle": "-",
			"parked": "-", "stalled": "-", "resumed": "-",
		},
		"unknown": {
			"spawned": "impossible", "failed": "impossible", "ready": "impossible", "leaving": "impossible",
			"exit": "impossible", "crash": "impossible", "recycle": "impossible",
			"parked": "impossible", "stalled": "impossible", "resumed": "impossible",
		},
		"standby, ordered": {
			"spawned": "starting", "failed": "- / spawn 4 standby gen=1", "ready": "impossible", "leaving": "impossible",
			"exit": "impossible", "crash": "impossible", "recycle": "killing / spawn 4 standby gen=1",
			"parked": "impossible", "stalled": "starting", "resumed": "starting",
		},
		"standby, starting": {
			"spawned": "impossible", "failed": "impossible", "ready": "killing / SIGTERM 3 (ready without a slot) / spawn 4 standby gen=1", "leaving": "draining / spawn 4 standby gen=1",
			"exit": "- / spawn 4 standby gen=1", "crash": "- / spawn 4 standby gen=1", "recycle": "killing / SIGTERM 3 (why) / spawn 4 standby gen=1",
			"parked": "standby", "stalled": "starting", "resumed": "starting",
		},
		"standby": {
			"spawned": "impossible", "failed": "impossible", "ready": "killing / SIGTERM 3 (ready without a slot) / spawn 4 standby gen=1", "leaving": "draining / spawn 4 standby gen=1",
			"exit": "- / spawn 4 standby gen=1", "crash": "- / spawn 4 standby gen=1", "recycle": "killing / SIGTERM 3 (why) / spawn 4 standby gen=1",
			"parked": "standby", "stalled": "standby", "resumed": "standby",
		},
		"standby, draining": {
			"spawned": "impossible", "failed": "impossible", "ready": "draining", "leaving": "draining",
			"exit": "-", "crash": "-", "recycle": "draining",
			"parked": "draining", "stalled": "draining", "resumed": "draining",
		},
		"standby, killing": {
			"spawned": "impossible", "failed": "impossible", "ready": "killing", "leaving": "killing",
			"exit": "-", "crash": "-", "recycle": "killing",
			"parked": "killing", "stalled": "killing", "resumed": "killing",
		},
		"standby, assigned": {
			"spawned": "impossible", "failed": "impossible", "ready": "ready / steer to 0 1 / spawn 4 standby gen=1", "leaving": "draining / spawn 4 standby gen=1",
			"exit": "- / spawn 4 standby gen=1", "crash": "- / spawn 4 standby gen=1", "recycle": "killing / SIGTERM 3 (why) / spawn 4 standby gen=1",
			"parked": "starting", "stalled": "starting", "resumed": "starting",
		},
		"standby, exited": {
			"spawned": "impossible", "failed": "impossible", "ready": "-", "leaving": "-",
			"exit": "impossible", "crash": "impossible", "recycle": "-",
			"parked": "-", "stalled": "-", "resumed": "-",
		},
		"standby, stalled": {
			"spawned": "impossible", "failed": "impossible", "ready": "killing / SIGTERM 3 (ready without a slot) / spawn 4 standby gen=1", "leaving": "draining / spawn 4 standby gen=1",
			"exit": "- / spawn 4 standby gen=1", "crash": "- / spawn 4 standby gen=1", "recycle": "killing / SIGTERM 3 (why) / spawn 4 standby gen=1",
			"parked": "standby", "stalled": "standby", "resumed": "standby",
		},
	}
	for _, situation := range situations {
		id := WorkerID(2)
		if situation.name == "unknown" {
			id = 99
		}
		if strings.HasPrefix(situation.name, "standby") {
			id = 3
		}
		evs := map[string]Event{
			"spawned": Spawned{id, 102}, "failed": SpawnFailed{id, "why"}, "ready": Ready{id}, "leaving": Leaving{id, "why"},
			"exit": Exited{ID: id, Code: 0, Signal: 0}, "crash": Exited{ID: id, Code: 1, Signal: 0}, "recycle": Recycle{id, "why", true},
			"parked": Parked{id}, "stalled": Stalled{id, "why"}, "resumed": Resumed{id},
		}
		for name, ev := range evs {
			t.Run(situation.name+"/"+name, func(t *testing.T) {
				p, now := arrange(t, situation.events, true)
				got := outcome(p, id, now, ev)
				if want := table[situation.name][name]; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got != "impossible" {
					return
				}
				// Where it counts, the same is only recorded, and what is served goes on.
				p, now = arrange(t, situation.events, false)
				effects := p.Step(now, ev)
				if r, ok := effects[0].(Record); !ok || r.Kind != KindImpossible {
					t.Errorf("not recorded: %v", effects)
				}
				if p.Status().Ready == 0 {
					t.Errorf("no worker serves any more: %+v", p.Status())
				}
			})
		}
	}
}

// TestEveryCommandInEveryPhase holds the phase that each command leads to, and whether it was ignored or impossible.
func TestEveryCommandInEveryPhase(t *testing.T) {
	phases := map[string]string{
		"idle": "", "running": "start/up 1/spawned 2", "stopping": "start/up 1/spawned 2/stop", "killing": "start/up 1/spawned 2/kill",
		"done": "start/stop/failed 1/failed 2",
	}
	commands := map[string]Event{
		"start": Start{}, "scale": Scale{3}, "roll": Roll{}, "reconfigure": Reconfigure{Default()}, "hurry": Hurry{time.Second}, "hold requests": HoldRequests{}, "pass requests": PassRequests{}, "stop": Stop{}, "kill": Kill{}, "tick": Tick{},
	}
	table := map[string]map[string]string{
		"idle": {
			"start": "running", "scale": "idle", "roll": "idle ignored", "reconfigure": "idle", "stop": "done", "kill": "done", "tick": "idle", "hurry": "idle",
			"hold requests": "idle", "pass requests": "idle",
		},
		"running": {
			"start": "impossible", "scale": "running", "roll": "running", "reconfigure": "running", "stop": "stopping", "kill": "killing", "tick": "running", "hurry": "running",
			"hold requests": "running", "pass requests": "running",
		},
		"stopping": {
			"start": "stopping ignored", "scale": "stopping ignored", "roll": "stopping ignored", "reconfigure": "stopping ignored",
			"stop": "killing", "kill": "killing", "tick": "stopping", "hurry": "stopping",
			"hold requests": "stopping ignored", "pass requests": "stopping",
		},
		"killing": {
			"start": "killing ignored", "scale": "killing ignored", "roll": "killing ignored", "reconfigure": "killing ignored",
			"stop": "killing ignored", "kill": "killing ignored", "tick": "killing", "hurry": "killing",
			"hold requests": "killing ignored", "pass requests": "killing",
		},
		"done": {
			"start": "done", "scale": "done", "roll": "done", "reconfigure": "done", "stop": "done", "kill": "done", "tick": "done", "hurry": "done",
			"hold requests": "done", "pass requests": "done",
		},
	}
	for phase, events := range phases {
		for name, ev := range commands {
			t.Run(phase+"/"+name, func(t *testing.T) {
				p, now := arrange(t, events, true)
				got := func() (got string) {
					defer func() {
						if recover() != nil {
							got = "impossible"
						}
					}()
					effects := p.Step(now, ev)
					got = p.Status().Phase
					for _, e := range effects {
						if r, ok := e.(Record); ok && r.Kind == KindIgnored {
							got += " ignored"
						}
					}
					return got
				}()
				if want := table[phase][name]; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

func arrange(t *testing.T, story string, strict bool) (*Pool, time.Time) {
	t.Helper()
	cfg := Default()
	cfg.Workers, cfg.Strict = 2, strict
	if rest, ok := strings.CutPrefix(story, "standby/"); ok {
		story, cfg.Standby = rest, 1
	}
	p, now := New(cfg), time.Unix(0, 0)
	for line := range strings.SplitSeq(story, "/") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "tick" {
			now = p.Deadline()
			p.Step(now, Tick{})
			continue
		}
		for _, ev := range events(t, words) {
			p.Step(now, ev)
		}
	}
	return p, now
}

func outcome(p *Pool, id WorkerID, now time.Time, ev Event) (got string) {
	defer func() {
		if r := recover(); r != nil {
			if !strings.HasPrefix(fmt.Sprint(r), "pool: impossible") {
				panic(r)
			}
			got = "impossible"
		}
	}()
	effects := p.Step(now, ev)
	got = "-"
	if w := p.workers[id]; w != nil {
		got = w.state.String()
	}
	for _, e := range effects {
		if _, ok := e.(Record); !ok {
			got += " / " + describe(e)
		}
	}
	return got
}

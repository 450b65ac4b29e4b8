package pool

import "testing"

// TestBrief: it says of a story what Status says.
func TestBrief(t *testing.T) {
	for story, want := range map[string]Brief{
		"":                                    {Phase: PhaseIdle, Wanted: 2, Generation: 1},
		"start":                               {Phase: PhaseRunning, Wanted: 2, Generation: 1},
		"start/spawned 1":                     {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true},
		"start/failed 1":                      {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true},
		"start/up 1":                          {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true},
		"start/up 1 2":                        {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true, AllReady: true},
		"start/up 1/spawned 2/scale 1":        {Phase: PhaseRunning, Wanted: 1, Generation: 1, Tried: true, AllReady: true},
		"start/up 1 2/roll":                   {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true, AllReady: true, Rolling: true},
		"start/up 1 2/exit 1":                 {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true, AllReady: true},
		"start/up 1 2/exit 1/exit 2":          {Phase: PhaseDone, Wanted: 2, Generation: 1, Tried: true},
		"start/up 1 2/stop":                   {Phase: PhaseStopping, Wanted: 2, Generation: 1, Tried: true},
		"start/up 1 2/kill":                   {Phase: PhaseKilling, Wanted: 2, Generation: 1, Tried: true},
		"start/up 1 2/stop/exit 1/exit 2":     {Phase: PhaseDone, Wanted: 2, Generation: 1},
		"start/up 1 2/scale 0/exit 1/exit 2":  {Phase: PhaseRunning, Generation: 1},
		"start/up 1 2/roll/up 3/exit 1/up 4":  {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true, AllReady: true, Rolling: true},
		"start/up 1 2/exit 1 code=3/failed 3": {Phase: PhaseRunning, Wanted: 2, Generation: 1, Tried: true},
	} {
		p, _ := arrange(t, story, true)
		if got := p.Brief(); got != want {
			t.Errorf("after %q: %+v, want %+v", story, got, want)
		}
	}
}

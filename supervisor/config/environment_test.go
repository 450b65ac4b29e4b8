package config

import (
	"slices"
	"strconv"
	"testing"

	"github.com/tinehq/tine/supervisor/host"
)

func TestWorkersShareTheCPUs(t *testing.T) {
	for _, c := range []struct{ workers, want int }{
		{host.AutoWorkers(), 1},
		{1, host.AutoWorkers()},
		{host.AutoWorkers() + 1, 1},
		{0, 1},
	} {
		if got := (App{Workers: c.workers}).gomaxprocs(); got != c.want {
			t.Errorf("%d workers on %d CPUs: GOMAXPROCS %d each, want %d", c.workers, host.AutoWorkers(), got, c.want)
		}
	}
	if got := (App{Workers: 9, GOMAXPROCS: 3}).gomaxprocs(); got != 3 {
		t.Errorf("configured GOMAXPROCS 3 became %d", got)
	}
}

func TestWorkersAreBoundOnlyWhereItIsFair(t *testing.T) {
	four := []int{0, 1, 6, 7}
	for name, c := range map[string]struct {
		app     App
		slot    int
		allowed []int
		quota   int
		want    []int
	}{
		"one each":              {App{Workers: 4}, 2, four, 4, []int{6}},
		"two each":              {App{Workers: 8}, 5, four, 4, []int{1}},
		"uneven":                {App{Workers: 6}, 2, four, 4, nil},
		"fewer than CPUs":       {App{Workers: 2}, 1, four, 4, nil},
		"a quota below":         {App{Workers: 4}, 2, four, 2, nil},
		"one CPU only":          {App{Workers: 4}, 2, four[:1], 1, nil},
		"unknown":               {App{Workers: 4}, 2, nil, 4, nil},
		"switched off":          {App{Workers: 4, CPUAffinity: CPUAffinityOff}, 2, four, 4, nil},
		"scaled up by a signal": {App{Workers: 4}, 4, four, 4, nil},
	} {
		if got := c.app.CPUs(c.slot, c.allowed, c.quota); !slices.Equal(got, c.want) {
			t.Errorf("%s: CPUs %v, want %v", name, got, c.want)
		}
	}
}

func TestWorkersShareTheMemory(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		app       App
		container int64
		want      int64
	}{
		"no limit":        {App{Workers: 4, MaxSurge: 1}, 0, 0},
		"with a surge":    {App{Workers: 4, MaxSurge: 1}, gib, 193273528},
		"without a surge": {App{Workers: 4, MaxSurge: 1, Rollout: RolloutStopFirst}, gib, 241591910},
		"with standbys":   {App{Workers: 2, MaxSurge: 1, Standby: 2}, gib, 193273528},
		"configured":      {App{Workers: 4, MaxSurge: 1, GOMEMLIMIT: 77}, gib, 77},
		"switched off":    {App{Workers: 4, MaxSurge: 1, GOMEMLIMIT: -1}, gib, 0},
	} {
		if got := c.app.gomemlimit(c.container); got != c.want {
			t.Errorf("%s: GOMEMLIMIT %d, want %d", name, got, c.want)
		}
	}
}

func TestGOMAXPROCSIsGivenWhereNobodySaysIt(t *testing.T) {
	c := App{Workers: host.AutoWorkers() * 4}
	env, err := c.Environment(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "GOMAXPROCS=" + strconv.Itoa(c.gomaxprocs()); !slices.Contains(env, want) {
		t.Errorf("no %s in %q", want, env)
	}
}

package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
)

// TestFlagsOfTheApp: the value of each flag reaches the app, and without flags it has its
// defaults.
func TestFlagsOfTheApp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		change func(a *supervisor.App)
	}{
		{nil, func(*supervisor.App) {}},
		{[]string{"--restart=never", "--rollout=stop_first", "--ready-timeout=1s", "--drain-delay=0", "--drain-timeout=2s", "--kill-after=3s"},
			func(a *supervisor.App) {
				a.Restart, a.Rollout = supervisor.RestartNever, supervisor.RolloutStopFirst
				a.ReadyTimeout, a.DrainDelay, a.DrainTimeout, a.KillAfter = time.Second, 0, 2*time.Second, 3*time.Second
			}},
		{[]string{"--policy=client-ip", "--steering=cbpf", "--standby=2", "--stall-timeout=off", "--request-timeout=15s"},
			func(a *supervisor.App) {
				a.Policy, a.Steering, a.Standby = supervisor.PolicyClientIP, supervisor.SteeringCBPF, 2
				a.StallTimeout, a.RequestTimeout = 0, 15*time.Second
			}},
		{[]string{"--max-requests=1000", "--max-age=15m", "--max-rss=256MiB", "--stall-timeout=0s"},
			func(a *supervisor.App) {
				a.MaxRequests, a.MaxAge, a.MaxRSS, a.StallTimeout = 1000, 15*time.Minute, 256<<20, 0
			}},
	} {
		var f runFlags
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		f.define(flags)
		if err := flags.Parse(append(c.args, "--", "./server")); err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		got, err := f.load(flags, flags.Args())
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		want := config.Single("", nil, 0, []string{"./server"})
		want.Apps[0].Dir = workingFolder()
		c.change(&want.Apps[0])
		if !reflect.DeepEqual(got.Apps, want.Apps) {
			t.Errorf("%v: got\n%+v\nwant\n%+v", c.args, got.Apps, want.Apps)
		}
		for _, name := range appFlags {
			if flags.Lookup(name) == nil {
				t.Errorf("no flag --%s", name)
			}
		}
	}
}

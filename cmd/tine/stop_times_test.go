package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor"
)

func TestIsInit(t *testing.T) {
	for _, c := range []struct {
		name        string
		pid, parent int
		keeper      string
		successor   bool
		want        bool
	}{
		{"entrypoint", 1, 0, "", false, true},
		{"below a keeper that is", 7, 1, "1", false, true},
		{"below a keeper that is, by an upgrade", 8, 7, "1", true, true},
		{"below a keeper that is not", 7, 6, "6", false, false},
		{"below a keeper that is not, by an upgrade", 8, 7, "6", true, false},
		{"below systemd", 700, 1, "", false, false},
		{"below systemd, by an upgrade", 701, 700, "", true, false},
		{"below a shell, with a variable that was passed on", 70, 60, "1", false, false},
	} {
		if got := isInit(c.pid, c.parent, c.keeper, c.successor); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestStopTimes: flags and variables win over the file, and without any of them it is off here.
func TestStopTimes(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/tine.yaml"
	text := "apps:\n  web: {command: sh}\nstop_timeout: 20s\nstop_delay: 1s\nhealth: :8086\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	type want struct {
		delay, timeout time.Duration
		health         string
	}
	for _, c := range []struct {
		args string
		env  map[string]string
		want want
	}{
		{"-- sh", nil, want{}},
		{"--stop-timeout=30s --stop-delay=5s --health=:1 -- sh", nil, want{5 * time.Second, 30 * time.Second, ":1"}},
		{"-- sh", map[string]string{"TINE_STOP_TIMEOUT": "25s", "TINE_STOP_DELAY": "2s", "TINE_HEALTH": ":2"}, want{2 * time.Second, 25 * time.Second, ":2"}},
		{"-c " + file, nil, want{time.Second, 20 * time.Second, ":8086"}},
		{"-c " + file, map[string]string{"TINE_STOP_TIMEOUT": "25s"}, want{time.Second, 25 * time.Second, ":8086"}},
		{"--stop-timeout=off -c " + file, nil, want{time.Second, supervisor.StopTimeoutOff, ":8086"}},
		{"--stop-timeout=auto -c " + file, nil, want{time.Second, 0, ":8086"}},
	} {
		var f runFlags
		cmd := newRun()
		cmd.ResetFlags()
		f.define(cmd.Flags())
		if err := cmd.Flags().Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		lookup := func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }
		if err := fromEnvironment(cmd.Flags(), lookup); err != nil {
			t.Fatal(err)
		}
		config, err := f.load(cmd.Flags(), cmd.Flags().Args())
		if err != nil {
			t.Fatal(err)
		}
		if got := (want{config.StopDelay, config.StopTimeout, config.Health.Listen}); got != c.want {
			t.Errorf("%s %v: %+v, want %+v", c.args, c.env, got, c.want)
		}
	}
	var s time.Duration
	for _, bad := range []string{"0", "10", "-5s", "soon", ""} {
		if stopTimeout(&s).Set(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

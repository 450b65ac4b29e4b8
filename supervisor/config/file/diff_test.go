package file

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// otherValues has for each key of an app a value that is not its default.
var otherValues = map[string]string{
	"command": "[other]", "dir": "other", "env": "{A: b}", "env_file": "[other]", "listen": "[':7001']", "workers": "3", "restart": "never",
	"backoff": "{base: 2s}", "start_limit": "9", "ready_timeout": "9s", "drain_delay": "9s", "drain_timeout": "9s", "kill_after": "9s",
	"rollout": "stop_first", "max_surge": "2", "max_unavailable": "1", "gomaxprocs": "2", "gomemlimit": "64MiB", "cpu_affinity": "off",
	"policy": "random", "steering": "hash", "on_overload": "queue", "overload_at": "10", "max_in_flight": "8", "stall_timeout": "9s", "request_timeout": "9s",
	"max_requests": "9", "max_age": "9s", "max_rss": "64MiB", "recycle_jitter": "0.5", "standby": "1", "dump_dir": "other",
	"namespace": "other", "depends_on": "{b: ready}", "hooks": "{on_crash: [x]}", "cron_restart": "'@daily'", "watch": "[x]", "oneshot": "true",
	"log": "{file: other}", "gateway": "{to: b}", "at_start": "false",
}

// TestDiffSaysWhatApplyingDoes holds the effects to what apply.go does, for each key of an app.
func TestDiffSaysWhatApplyingDoes(t *testing.T) {
	old := load(t, "/srv", "apps: {a: {command: [x]}, b: {command: [y], listen: \":1\"}}")
	for _, f := range newDecoder(loader{}).appFields(&config.App{}) {
		value, ok := otherValues[f.key]
		if !ok {
			t.Errorf("no value for %s in this test", f.key)
			continue
		}
		rest := "command: [x], "
		if f.key == "command" {
			rest = ""
		}
		if f.key == "at_start" {
			rest += "oneshot: true, cron_restart: '@daily', "
		}
		next := load(t, "/srv", "apps: {a: {"+rest+f.key+": "+value+"}, b: {command: [y], listen: \":1\"}}")
		changes := Diff(old, next)
		if f.key == "on_overload" {
			continue // its other value needs more keys than one
		}
		if len(changes) == 0 {
			t.Errorf("%s: no change", f.key)
		}
		from, to := old.Apps[0], next.Apps[0]
		want := api.EffectAtOnce
		switch {
		case config.StartedDifferently(from, to):
			want = api.EffectRollout
		case !slices.Equal(from.Listen, to.Listen), !reflect.DeepEqual(to.SteeredAs(from), to):
			want = api.EffectRestart
		}
		for _, c := range changes {
			if c.Effect != want && c.Path != "apps.a.workers" {
				t.Errorf("%s: says %q, want %q", c, c.Effect, want)
			}
		}
	}
}

func TestDiff(t *testing.T) {
	old := load(t, "/srv", `
name: shop
log: {level: info, file: a.log}
apps:
  web: {command: [./web, -v], env: {SECRET: hunter2, GONE: x}, drain_timeout: 1m, hooks: {on_crash: x}}
  old: {command: ./old}
cache: {a: {file: a}, b: {exec: b, every: 5s}}
`)
	next := load(t, "/srv", `
name: shop
log: {level: debug, file: b.log}
dashboard: 127.0.0.1:7077
apps:
  fresh: {command: ./fresh}
  web: {command: [./web, -v, ""], env: {SECRET: hunter3}, drain_timeout: 60s, workers: 3}
cache: {b: {exec: b, every: 6s}, c: {file: c}}
`)
	want := []Change{
		{"log.level", "info", "debug", api.EffectAtOnce},
		{"log.file", "/srv/a.log", "/srv/b.log", api.EffectRestart},
		{"dashboard.listen", "", "127.0.0.1:7077", api.EffectRestart},
		{"apps.web.command", "[/srv/web, -v]", `[/srv/web, -v, ""]`, api.EffectRollout},
		{"apps.web.env.GONE", "x", "", api.EffectRollout},
		{"apps.web.env.SECRET", "hunter2", "hunter3", api.EffectRollout},
		{"apps.web.workers", "auto", "3", api.EffectAtOnce},
		{"apps.web.hooks.on_crash.command", "[x]", "", api.EffectAtOnce},
		{"apps.web.hooks.on_crash.timeout", "30s", "", api.EffectAtOnce},
		{"apps.old", "[/srv/old]", "", api.EffectStop},
		{"apps.fresh", "", "[/srv/fresh]", api.EffectStart},
		{"cache.a", "/srv/a", "", api.EffectStop},
		{"cache.b.every", "5s", "6s", api.EffectAtOnce},
		{"cache.c", "", "/srv/c", api.EffectStart},
	}
	got := Diff(old, next)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if c := Diff(old, old); len(c) != 0 {
		t.Errorf("a config differs from itself: %v", c)
	}
}

package config

import (
	_ "embed"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValidateInGo(t *testing.T) {
	good := &Config{Apps: []App{{Name: "web", Command: []string{"server"}}}, Cache: []CacheValue{{Key: "k", File: "f"}}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if good.Apps[0].Restart != "" {
		t.Error("Validate changed the config")
	}
	bad := &Config{
		Apps: []App{
			{Name: "web", Command: []string{"server"}, DrainDelay: -time.Second, Listen: []string{":1"}, Workers: 1025},
			{Name: "web", Listen: []string{"0.0.0.0:1"}, GOMEMLIMIT: -2, MaxSurge: -1},
			{},
			{Name: "b", Command: []string{"x"}, StallTimeout: -1, MaxRSS: -1, MaxRequests: -1, RecycleJitter: 2, Standby: -1, DumpDir: "\x00"},
		},
		Cache: []CacheValue{{Key: strings.Repeat("k", 256), File: "f"}, {Key: "a"}, {Key: "a", File: "f"}, {}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"apps.web.drain_delay: -1s is negative",
		"apps.web.workers: 1025 is out of range: write 0 to 1024",
		"apps.web: two apps have this name",
		"apps.web.command: no command",
		"apps.web.listen: 0.0.0.0:1 is in use twice: it overlaps with :1, which this app has already",
		"apps.web.gomemlimit: -2 is negative",
		"apps.web.max_surge: -1 is negative",
		`apps[2]: "" is not a name for an app`,
		"the key has 256 bytes, the most is 255",
		"apps.b.stall_timeout: -1ns is negative",
		"apps.b.max_rss: -1 is negative",
		"apps.b.max_requests: -1 is negative",
		"apps.b.recycle_jitter: 2 is out of range",
		"apps.b.standby: -1 is negative",
		"apps.b.dump_dir: contains a zero byte",
		"cache.a: no source",
		"cache.a: two values have this key",
		"cache[3]: the key is empty",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestZeroMeansZeroInNewApp(t *testing.T) {
	a := NewApp("web", "server")
	a.DrainDelay, a.StartLimit, a.StallTimeout, a.RecycleJitter = 0, 0, 0, 0
	got := (&Config{Apps: []App{a, {Name: "b"}}}).WithDefaults().Apps
	for i, want := range []App{{}, {DrainDelay: time.Second, StartLimit: 5, StallTimeout: 30 * time.Second, RecycleJitter: 0.1}} {
		g := got[i]
		if g.DrainDelay != want.DrainDelay || g.StartLimit != want.StartLimit || g.StallTimeout != want.StallTimeout || g.RecycleJitter != want.RecycleJitter {
			t.Errorf("app %d has %s, %d, %s, %v, want %+v", i, g.DrainDelay, g.StartLimit, g.StallTimeout, g.RecycleJitter, want)
		}
	}
}

func TestSingle(t *testing.T) {
	for command, want := range map[string]string{
		"./bin/demo": "demo", "My Server.exe": "my-server.exe", "/": "app", "-.x": "x", strings.Repeat("x", 100): strings.Repeat("x", 63),
	} {
		c := Single("", []string{":7000"}, 4, []string{command, "-v"})
		if c.Apps[0].Name != want {
			t.Errorf("%s: the name is %q, want %q", command, c.Apps[0].Name, want)
		}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	if err := Single("", nil, 0, nil).Validate(); err == nil || !strings.Contains(err.Error(), "no command") {
		t.Errorf("got %v", err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"command", "dir", "env", "env_file", "listen", "workers", "drain_delay", "drain_timeout"}
	for word, want := range map[string]string{
		"comand": "command", "Command": "command", "worker": "workers", "lsiten": "listen", "drain-delay": "drain_delay",
		"draintimeout": "drain_timeout", "cwd": "dir", "port": "listen", "instances": "workers", "banana": "", "x": "", "": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("%.20s: suggested %q, want %q", word, got, want)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                          nil,
		"  a  b\tc\n":               {"a", "b", "c"},
		`a 'b c' "d e"f`:            {"a", "b c", "d ef"},
		`a "" ''`:                   {"a", "", ""},
		`a\ b "\"\\\$\x" '\'`:       {"a b", `"\$\x`, `\`},
		`sh -c 'exec a | b > $c'`:   {"sh", "-c", "exec a | b > $c"},
		`./web -rate=~1 #1 {a,b} é`: {"./web", "-rate=~1", "#1", "{a,b}", "é"},
	} {
		got, err := SplitWords(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a | b", "a > b", "a $b", `a "$b"`, "a &", "a; b", "a *.go", "a `b`", `a "b`, "a 'b", `a \`} {
		if got, err := SplitWords(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestParseSchedule(t *testing.T) {
	for _, text := range []string{"0 4 * * *", "*/5 8-18 1,15 jan-mar MON", "@daily", "@every 90m", "CRON_TZ=UTC 0 4 * * *", "TZ=Europe/Vienna @weekly"} {
		if _, err := ParseSchedule(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"": "0 fields instead of 5", "4 *": "2 fields instead of 5", "0 0 4 * * *": "6 fields instead of 5", "61 * * * *": "is not a minute", "0 0 31 2 *": "never comes",
		"CRON_TZ=UTC": "nothing after CRON_TZ=", "TZ=": "nothing after TZ=", "TZ=Mars/Base 0 4 * * *": "Mars/Base",
		"@sometimes": "is not known", strings.Repeat("1,", 200) + "1 * * * *": "the most is 256",
	} {
		if _, err := ParseSchedule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

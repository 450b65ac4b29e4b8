package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// archived loads the tine.yaml of an archive. Its other files lie beside it, but that the one named environment names the
// environment to choose.
func archived(a *txtar.Archive) (*Config, error) {
	files := map[string][]byte{}
	l := loader{
		read: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return text, nil
			}
			return nil, fmt.Errorf("cannot read it: %w", os.ErrNotExist)
		},
		glob: func(pattern string) (found []string, err error) {
			for path := range files {
				if ok, err := filepath.Match(pattern, path); err != nil {
					return nil, err
				} else if ok {
					found = append(found, path)
				}
			}
			return found, nil
		},
		lookup: func(name string) (string, bool) {
			v, ok := map[string]string{"N": "4", "EMPTY": "", "ON": "true", "WORD": "soon", "SHADOW": "outside"}[name]
			return v, ok
		},
	}
	var text []byte
	for i, f := range a.Files {
		switch {
		case i == 0:
			text = f.Data
		case f.Name == "environment":
			l.env = strings.TrimSpace(string(f.Data))
		}
		files["/etc/tine/"+f.Name] = f.Data
	}
	return newDecoder(l).load("tine.yaml", "/etc/tine/tine.yaml", text)
}

// TestConfigErrors holds the exact text of every error in testdata/config/*.txtar: a tine.yaml, files beside it, and what
// is said of it. UPDATE_GOLDEN=1 writes them anew.
func TestConfigErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			last := len(a.Files) - 1
			if last < 1 || a.Files[0].Name != "tine.yaml" || a.Files[last].Name != "want" {
				t.Fatal("want an archive that begins with tine.yaml and ends with want")
			}
			_, err = archived(a)
			if err == nil {
				t.Fatal("no error")
			}
			got := err.Error() + "\n"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				a.Files[last].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(a.Files[last].Data); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func load(t *testing.T, dir, text string) *Config {
	t.Helper()
	c, err := parseConfig("tine.yaml", dir, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// everything has each key, with a value that is not its default where that can be.
const everything = `
name: shop
x-common: &common
  restart: always
  env: {MODE: test}
  workers: 9
log: {format: json, level: debug, file: log/tine.log, max_size: 10MiB, max_age: 24h, keep: 3, compress: true}
control: run/tine.sock
dashboard: {listen: "127.0.0.1:7077", token_file: token}
metrics: 127.0.0.1:9464
health: :8086
stop_delay: 2s
stop_timeout: 25s
cache:
  usersCount:
    sql: {dsn: shop.db, query: SELECT count(*) FROM users}
    every: 1m
    timeout: 2s
    jitter: 0.1
  version: {file: VERSION}
  load: {exec: 'uptime | cut -d, -f3', dir: /tmp, env: {LANG: C}}
  list: {exec: [./list, -v]}
apps:
  web:
    <<: *common
    command: ./bin/web -db "my shop.db" ''
    dir: current
    env: {PORT: 7000, DEBUG: true, EMPTY: , TEXT: "a b"}
    env_file: [.env, /etc/web.env]
    listen: [":7000", "unix:run/web.sock"]
    workers: 4
    backoff: {base: 1s, max: 1m, jitter: 0, reset: 1h}
    start_limit: 3
    ready_timeout: 1m30s
    drain_delay: 0s
    drain_timeout: 0
    kill_after: 500ms
    rollout: stop_first
    max_surge: 2
    max_unavailable: 1
    gomaxprocs: 2
    gomemlimit: 512MiB
    cpu_affinity: off
    policy: client-ip
    steering: ebpf
    on_overload: refuse
    overload_at: 100
    stall_timeout: off
    request_timeout: 15s
    max_requests: 100000
    max_age: 15m
    max_rss: 256MiB
    recycle_jitter: 0
    standby: 2
    dump_dir: dumps
    namespace: shop
    depends_on: {mail: ready, migrate: exited}
    hooks:
      before_start: ./hooks/check --fast
      after_ready: {command: [notify, ready], timeout: 2s}
      on_crash: [./hooks/page]
    cron_restart: CRON_TZ=Europe/Vienna 30 4 * * 1-5
    watch: {paths: [., ../lib], ignore: [node_modules, "*.log"], debounce: 1s}
    log: {file: log/web.log, max_size: 1MiB, on_full: drop}
  migrate:
    command: ./migrate
    oneshot: true
    depends_on: [mail]
    log: log/migrate.log
    watch: true
    dir: sub
  mail:
    command: [mail, --queue, 5]
    workers: auto
    gomaxprocs: auto
    gomemlimit: off
    listen: :2525
    policy: cpu
    overload_at: off
    stall_timeout: 10ms
    request_timeout: off
    max_requests: off
    max_age: 0
    max_rss: off
    standby: 0
`

func TestConfigEverything(t *testing.T) {
	c := load(t, "/srv/tine", everything)
	want := &Config{
		Name: "shop",
		Apps: []App{{
			Name: "web", Command: []string{"/srv/tine/bin/web", "-db", "my shop.db", ""}, Dir: "/srv/tine/current",
			Env:      map[string]string{"PORT": "7000", "DEBUG": "true", "EMPTY": "", "TEXT": "a b"},
			EnvFiles: []string{"/srv/tine/.env", "/etc/web.env"}, Listen: []string{":7000", "unix:/srv/tine/run/web.sock"},
			Workers: 4, Restart: RestartAlways, Backoff: Backoff{Base: time.Second, Max: time.Minute, Reset: time.Hour},
			StartLimit: 3, ReadyTimeout: 90 * time.Second, KillAfter: 500 * time.Millisecond, Rollout: RolloutStopFirst,
			MaxSurge: 2, MaxUnavailable: 1, GOMAXPROCS: 2, GOMEMLIMIT: 512 << 20, CPUAffinity: "off",
			Policy: PolicyClientIP, Steering: SteeringEBPF, OnOverload: OverloadRefuse, OverloadAt: 100,
			RequestTimeout: 15 * time.Second, MaxRequests: 100_000, MaxAge: 15 * time.Minute, MaxRSS: 256 << 20, Standby: 2,
			DumpDir: "/srv/tine/dumps", Namespace: "shop", DependsOn: map[string]string{"mail": DependsReady, "migrate": DependsExited},
			Hooks: Hooks{
				BeforeStart: Hook{[]string{"/srv/tine/hooks/check", "--fast"}, 30 * time.Second},
				AfterReady:  Hook{[]string{"notify", "ready"}, 2 * time.Second},
				OnCrash:     Hook{[]string{"/srv/tine/hooks/page"}, 30 * time.Second},
			},
			CronRestart: "CRON_TZ=Europe/Vienna 30 4 * * 1-5",
			Watch:       Watch{Paths: []string{"/srv/tine", "/srv/lib"}, Ignore: []string{"node_modules", "*.log"}, Debounce: time.Second},
			Log:         AppLog{File: "/srv/tine/log/web.log", MaxSize: 1 << 20, Keep: 7, OnFull: OnFullDrop}, complete: true,
		}, {
			Name: "migrate", Command: []string{"/srv/tine/migrate"}, Dir: "/srv/tine/sub", Workers: 1,
			Restart: RestartOnFailure, Backoff: defaultBackoff, StartLimit: 5, ReadyTimeout: 30 * time.Second,
			DrainDelay: time.Second, DrainTimeout: 30 * time.Second, KillAfter: 5 * time.Second, Rollout: RolloutSurge,
			MaxSurge: 1, CPUAffinity: CPUAffinityAuto, Policy: PolicyLeast, Steering: SteeringAuto,
			OnOverload: OverloadQueue, StallTimeout: 30 * time.Second, RecycleJitter: 0.1, OneShot: true,
			DependsOn: map[string]string{"mail": DependsReady}, Watch: Watch{Paths: []string{"/srv/tine/sub"}, Debounce: 200 * time.Millisecond},
			Log: AppLog{File: "/srv/tine/log/migrate.log", OnFull: OnFullBlock}, complete: true,
		}, {
			Name: "mail", Command: []string{"mail", "--queue", "5"}, Dir: "/srv/tine", Listen: []string{":2525"},
			Restart: RestartOnFailure, Backoff: defaultBackoff, StartLimit: 5, ReadyTimeout: 30 * time.Second,
			DrainDelay: time.Second, DrainTimeout: 30 * time.Second, KillAfter: 5 * time.Second, Rollout: RolloutSurge,
			MaxSurge: 1, GOMEMLIMIT: -1, CPUAffinity: CPUAffinityAuto, Policy: PolicyCPU, Steering: SteeringAuto,
			OnOverload: OverloadQueue, StallTimeout: 10 * time.Millisecond, RecycleJitter: 0.1,
			Log: AppLog{OnFull: OnFullBlock}, complete: true,
		}},
		Cache: []CacheValue{
			{Key: "usersCount", SQL: SQL{"sqlite", "/srv/tine/shop.db", "SELECT count(*) FROM users"},
				Every: time.Minute, Timeout: 2 * time.Second, Jitter: 0.1, Dir: "/srv/tine", complete: true},
			{Key: "version", File: "/srv/tine/VERSION", Every: 5 * time.Second, Timeout: 5 * time.Second, Dir: "/srv/tine", complete: true},
			{Key: "load", Exec: []string{"sh", "-c", "uptime | cut -d, -f3"}, Every: 5 * time.Second, Timeout: 5 * time.Second,
				Dir: "/tmp", Env: map[string]string{"LANG": "C"}, complete: true},
			{Key: "list", Exec: []string{"/srv/tine/list", "-v"}, Every: 5 * time.Second, Timeout: 5 * time.Second, Dir: "/srv/tine", complete: true},
		},
		Log:       Log{Format: "json", Level: "debug", File: "/srv/tine/log/tine.log", MaxSize: 10 << 20, MaxAge: 24 * time.Hour, Keep: 3, Compress: true},
		Control:   "/srv/tine/run/tine.sock",
		Dashboard: Dashboard{Listen: "127.0.0.1:7077", TokenFile: "/srv/tine/token"},
		Metrics:   Metrics{Listen: "127.0.0.1:9464"},
		Health:    Health{Listen: ":8086"},
		StopDelay: 2 * time.Second, StopTimeout: 25 * time.Second,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestConfigSmallest(t *testing.T) {
	c := load(t, "/srv", "apps: {web: {command: server}}")
	want := (&Config{Apps: []App{{Name: "web", Command: []string{"server"}, Dir: "/srv"}}}).WithDefaults()
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
	if c.Name != "web" || c.Log != (Log{Format: "auto", Level: "info"}) {
		t.Errorf("got name %q and log %+v", c.Name, c.Log)
	}
}

func TestConfigAcceptsAddressesThatDoNotCollide(t *testing.T) {
	load(t, "/", `
apps:
  a:
    command: x
    listen: ["tcp4://:1", "tcp6://:1", "127.0.0.1:2", "127.0.0.2:2", "[::1]:2", "localhost:3", ":0", ":0", unix:a, unix:b]
`)
}

// What leads to the same file or socket by another name is the same.
func TestConfigSeesThroughLinks(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o700), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for apps, want := range map[string]string{
		`a: {command: x, listen: 'unix:real/s'}, b: {command: x, listen: 'unix:link/s'}`:          "apps.b.listen: unix:DIR/link/s is in use twice: it overlaps with unix:DIR/real/s, which app a has already",
		`a: {command: x, listen: 'unix:real/s'}}\ncontrol: link/s`:                                "control: DIR/link/s is in use twice: it overlaps with unix:DIR/real/s, which app a has already",
		`a: {command: x, log: {file: real/l, max_size: 1MiB}}, b: {command: x, log: link/l}`:      "apps.b.log.file: DIR/link/l is the file DIR/real/l of apps.a.log.file, by another name",
		`a: {command: x, log: {file: new/../new/l, max_size: 1MiB}}}\nlog: {file: link/../new/l}`: "",
		`a: {command: x, log: real/l}, b: {command: x, log: link/l}`:                              "",
	} {
		text := "apps: {" + strings.ReplaceAll(apps, `\n`, "\n")
		if !strings.Contains(text, "\n") {
			text += "}"
		}
		_, err := parseConfig("f", dir, []byte(text))
		want = strings.ReplaceAll(want, "DIR", dir)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func TestConfigOwnerOfSocket(t *testing.T) {
	load(t, "/", "apps: {a: {command: x, listen: 'unix:a.sock?mode=0660&user=0&group=0'}}")
	for address, want := range map[string]string{
		"unix:a?grup=x":                "did you mean group?",
		"unix:a?group=no-such-one":     `there is no group "no-such-one" here`,
		"unix:a?user=no-such-one":      `there is no user "no-such-one" here`,
		"unix:/run/a.sock|0660":        "a mode is written ?mode=0660",
		"unix:a?mode=0660&mode=0660":   "mode is given twice",
		"unix:a?user=x&mode=rw-rw----": "is not octal",
	} {
		_, err := parseConfig("f", "/", []byte("apps: {a: {command: x, listen: '"+address+"'}}"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "f:1:") || !strings.Contains(err.Error(), "apps.a.listen") {
			t.Errorf("%s: %v; want its place and %s", address, err, want)
		}
	}
}

func TestConfigLineEndingsAndByteOrderMark(t *testing.T) {
	_, err := parseConfig("f", "/", []byte("apps:\r\n  web:\r\n    command: x\r\n    workers: no\r\n"))
	if err == nil || !strings.Contains(err.Error(), "f:4:14") || strings.Contains(err.Error(), "\r") {
		t.Errorf("got %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tine.yaml")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("loaded a folder")
	}
	if err := os.WriteFile(path, []byte("apps: {web: {command: ./x}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Path() != path || c.Apps[0].Command[0] != filepath.Join(dir, "x") {
		t.Errorf("got %+v", c)
	}
	if err := os.WriteFile(path, []byte("apps: {web: {comand: ./x}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(path)
	var one *ConfigError
	if !errors.As(err, &one) {
		t.Fatalf("got %v", err)
	}
	if one.File != path || one.Line != 1 || one.Column != 14 || one.Path != "apps.web.comand" {
		t.Errorf("got %+v", one)
	}
}

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
		`apps[2]: "" is no name for an app`,
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

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"off": 0, "0": 0, "1": 1, "7B": 7, "512 KiB": 512 << 10, "256MiB": 256 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "auto", "-1", "1.5GiB", "256MB", "MiB", "9223372036854775808", "8388608TiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"command", "dir", "env", "env_file", "listen", "workers", "drain_delay", "drain_timeout"}
	for word, want := range map[string]string{
		"comand": "command", "Command": "command", "worker": "workers", "lsiten": "listen", "drain-delay": "drain_delay",
		"draintimeout": "drain_timeout", "cwd": "dir", "port": "listen", "instances": "workers", "banana": "", "x": "", "": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := suggest(word, known); got != want {
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
		got, err := splitWords(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a | b", "a > b", "a $b", `a "$b"`, "a &", "a; b", "a *.go", "a `b`", `a "b`, "a 'b", `a \`} {
		if got, err := splitWords(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestParseSchedule(t *testing.T) {
	for _, text := range []string{"0 4 * * *", "*/5 8-18 1,15 jan-mar MON", "@daily", "@every 90m", "CRON_TZ=UTC 0 4 * * *", "TZ=Europe/Vienna @weekly"} {
		if _, err := parseSchedule(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"": "0 fields instead of 5", "4 *": "2 fields instead of 5", "0 0 4 * * *": "6 fields instead of 5", "61 * * * *": "is no minute", "0 0 31 2 *": "never comes",
		"CRON_TZ=UTC": "nothing after CRON_TZ=", "TZ=": "nothing after TZ=", "TZ=Mars/Base 0 4 * * *": "Mars/Base",
		"@sometimes": "is not known", strings.Repeat("1,", 200) + "1 * * * *": "the most is 256",
	} {
		if _, err := parseSchedule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// parts loads an archive that is good.
func parts(t *testing.T, archive string) *Config {
	t.Helper()
	c, err := archived(txtar.Parse([]byte(archive)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigVariables(t *testing.T) {
	c := parts(t, `
-- tine.yaml --
env_file: [vars.env, more.env]
apps:
  web:
    command: ["${SERVER}", -v, $HOME, $$HOME, "$${N}", a$]
    workers: ${N}
    overload_at: "${N}0"
    env:
      A: ${N}
      B: "${NONE:-a b}"
      C: ${EMPTY:-fallback}
      D: ${EMPTY}
      E: $$
      F: ${SHADOW}${MORE}
      G: "007${EMPTY}"
      H: |
        one ${N}
        two
      I: ${NONE:-${MORE:-x}}${MORE:-${NONE}}
      J: '${NONE:-{"a":{}}}${SHADOW:-{"b":1}}'
      K: ${NONE:-${EMPTY:-${GONE:-deep $$ $x}}}
      L: "${NONE:-a}b}"
    drain_delay: ${DELAY:-3s}
    oneshot: ${ON}
    recycle_jitter: 0.${N}
-- vars.env --
SERVER=./server
SHADOW=inside
MORE=first
-- more.env --
MORE=/more
`)
	a := c.Apps[0]
	if want := []string{"/etc/tine/server", "-v", "$HOME", "$HOME", "${N}", "a$"}; !reflect.DeepEqual(a.Command, want) {
		t.Errorf("got %q", a.Command)
	}
	want := map[string]string{"A": "4", "B": "a b", "C": "fallback", "D": "", "E": "$", "F": "outside/more", "G": "007", "H": "one 4\ntwo\n",
		"I": "/more/more", "J": `{"a":{}}outside`, "K": "deep $ $x", "L": "ab}"}
	if !reflect.DeepEqual(a.Env, want) {
		t.Errorf("got %q", a.Env)
	}
	if a.Workers != 4 || a.OverloadAt != 40 || a.DrainDelay != 3*time.Second || !a.OneShot || a.RecycleJitter != 0.4 {
		t.Errorf("got %+v", a)
	}
}

const several = `
-- tine.yaml --
name: shop
include: [apps/*.yaml, cache.yaml, none/*.yaml]
env_file: vars.env
x-base: &base {restart: always}
apps:
  web: {<<: *base, command: ./server}
environments:
  production:
    apps:
      web: {workers: 8}
-- vars.env --
PLACE=top
-- apps/api.yaml --
x-base: &base {restart: never}
env_file: vars.env
include: ../cache.yaml
apps:
  api: {<<: *base, command: ./api, env: {PLACE: "${PLACE}"}}
-- apps/vars.env --
PLACE=apps
-- apps/mail.yaml --
log: {level: debug}
apps:
  mail: {command: ./mail, env: {PLACE: "${PLACE}"}, dir: ../mail}
-- cache.yaml --
cache:
  users: {file: users}
`

func TestConfigIncludes(t *testing.T) {
	c := parts(t, several)
	var got []string
	for _, a := range c.Apps {
		got = append(got, strings.Join([]string{a.Name, a.Restart, a.Command[0], a.Dir, a.Env["PLACE"]}, " "))
	}
	want := []string{
		"web always /etc/tine/server /etc/tine ",
		"api never /etc/tine/apps/api /etc/tine/apps apps",
		"mail on-failure /etc/tine/apps/mail /etc/tine/mail top",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if c.Name != "shop" || c.Log.Level != "debug" || len(c.Cache) != 1 || c.Cache[0].File != "/etc/tine/users" {
		t.Errorf("got %+v", c)
	}
}

func TestConfigEnvironments(t *testing.T) {
	const text = several + `
-- apps/zz.yaml --
environments:
  production:
    name: production
    apps:
      mail:
        env: {MODE: live, PLACE: }
        command: [mail, --live]
        dump_dir: dumps
      extra: {command: ./extra}
    cache:
      users: {every: 1m}
      hosts: {file: /etc/hosts}
  development:
    apps: {mail: {env: {SECRET: "${NOT_THERE}"}}}
`
	c := parts(t, text)
	if c.Name != "shop" || c.Apps[0].Workers != 0 || len(c.Apps) != 3 {
		t.Errorf("an environment that was not chosen: %+v", c)
	}
	c = parts(t, text+"-- environment --\nproduction\n")
	mail := c.Apps[2]
	if c.Name != "production" || c.Apps[0].Workers != 8 || len(c.Apps) != 4 || c.Apps[3].Command[0] != "/etc/tine/apps/extra" {
		t.Errorf("got %+v", c)
	}
	if !reflect.DeepEqual(mail.Env, map[string]string{"MODE": "live"}) || !reflect.DeepEqual(mail.Command, []string{"mail", "--live"}) ||
		mail.Dir != "/etc/tine/mail" || mail.DumpDir != "/etc/tine/apps/dumps" {
		t.Errorf("got %+v", mail)
	}
	if len(c.Cache) != 2 || c.Cache[0].Every != time.Minute || c.Cache[0].File != "/etc/tine/users" {
		t.Errorf("got %+v", c.Cache)
	}
}

func TestLoadWith(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tine.yaml": "include: apps/*.yaml\nname: base\nenvironments: {live: {name: live}}\n", "apps/web.yaml": "apps: {web: {command: ./x}}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := LoadWith(filepath.Join(dir, "tine.yaml"), LoadOptions{Env: "live"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Reload()
	if err != nil || !reflect.DeepEqual(again, c) || c.Name != "live" {
		t.Errorf("got %+v and %+v, %v", c, again, err)
	}
	if want := []string{filepath.Join(dir, "tine.yaml"), filepath.Join(dir, "apps/web.yaml")}; !reflect.DeepEqual(c.Files(), want) {
		t.Errorf("got %q", c.Files())
	}
	if _, err := (&Config{}).Reload(); err == nil {
		t.Error("read a config that is of no file")
	}
}

// TestLoadOfWhatIsNoFile ends at once, whatever there is.
func TestLoadOfWhatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, "/dev/zero"} {
		done := make(chan error, 2)
		go func() {
			_, err := Load(p)
			done <- err
			_, err = ReadEnvFile(p)
			done <- err
		}()
		for range 2 {
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "no regular file") {
					t.Errorf("%s: got %v", p, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: still reading", p)
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	add := func(a *txtar.Archive) {
		other := ""
		if len(a.Files) > 2 {
			other = string(a.Files[1].Data)
		}
		f.Add(string(a.Files[0].Data), other, "production")
	}
	files, _ := filepath.Glob("testdata/config/*.txtar")
	for _, name := range files {
		if a, err := txtar.ParseFile(name); err == nil {
			add(a)
		}
	}
	add(txtar.Parse([]byte(several)))
	f.Add("apps: {a: {command: x, watch: true, depends_on: [b], hooks: {on_crash: y}, log: l, oneshot: true}, b: {command: x, cron_restart: '@daily'}}", "", "")
	f.Add("a: &a [*a]\napps: *a", "", "")
	f.Add("apps: &a {<<: [*a, *a, *a]}", "", "")
	f.Add("include: [other.yaml, apps/*]\nenv_file: other.yaml", "environments: {a: {apps: }}", "a")
	f.Fuzz(func(t *testing.T, text, other, env string) {
		c, err := archived(&txtar.Archive{Files: []txtar.File{
			{Name: "tine.yaml", Data: []byte(text)}, {Name: "other.yaml", Data: []byte(other)},
			{Name: "apps/a.yaml", Data: []byte(other)}, {Name: "environment", Data: []byte(env)},
		}})
		if err != nil {
			_ = err.Error()
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("what was loaded is not valid: %v", err)
		}
		written := c.YAML()
		again, err := parseConfig("written.yaml", "/elsewhere", written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		if changes := Diff(c, again); len(changes) > 0 {
			t.Errorf("what was written is something else: %v\n%s", changes, written)
		}
	})
}

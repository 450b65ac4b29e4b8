package file

import (
	_ "embed"
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
	"github.com/tinehq/tine/supervisor/config"
)

// archived loads the tine.yaml of an archive. Its other files lie beside it, but that the one named environment names the
// environment to choose.
func archived(a *txtar.Archive) (*config.Config, error) {
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

func load(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	c, err := parseConfig("tine.yaml", dir, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// everything has each key, with a value that is not its default where that can be.
//
//go:embed testdata/everything.yaml
var everything string

func TestConfigEverything(t *testing.T) {
	c := load(t, "/srv/tine", everything)
	want := &config.Config{
		Name: "shop",
		Apps: []config.App{{
			Name: "web", Command: []string{"/srv/tine/bin/web", "-db", "my shop.db", ""}, Dir: "/srv/tine/current",
			Env:      map[string]string{"PORT": "7000", "DEBUG": "true", "EMPTY": "", "TEXT": "a b"},
			EnvFiles: []string{"/srv/tine/.env", "/etc/web.env"}, Listen: []string{":7000", "unix:/srv/tine/run/web.sock"},
			Workers: 4, Restart: config.RestartAlways, Backoff: config.Backoff{Base: time.Second, Max: time.Minute, Reset: time.Hour},
			StartLimit: 3, ReadyTimeout: 90 * time.Second, KillAfter: 500 * time.Millisecond, Rollout: config.RolloutStopFirst,
			MaxSurge: 2, MaxUnavailable: 1, GOMAXPROCS: 2, GOMEMLIMIT: 512 << 20, CPUAffinity: "off",
			Policy: config.PolicyClientIP, Steering: config.SteeringEBPF, OnOverload: config.OverloadRefuse, OverloadAt: 100,
			RequestTimeout: 15 * time.Second, MaxRequests: 100_000, MaxAge: 15 * time.Minute, MaxRSS: 256 << 20, Standby: 2,
			DumpDir: "/srv/tine/dumps", Namespace: "shop", DependsOn: map[string]string{"mail": config.DependsReady, "migrate": config.DependsExited},
			Hooks: config.Hooks{
				BeforeStart: config.Hook{Command: []string{"/srv/tine/hooks/check", "--fast"}, Timeout: 30 * time.Second},
				AfterReady:  config.Hook{Command: []string{"notify", "ready"}, Timeout: 2 * time.Second},
				OnCrash:     config.Hook{Command: []string{"/srv/tine/hooks/page"}, Timeout: 30 * time.Second},
			},
			CronRestart: "CRON_TZ=Europe/Vienna 30 4 * * 1-5",
			Watch:       config.Watch{Paths: []string{"/srv/tine", "/srv/lib"}, Ignore: []string{"node_modules", "*.log"}, Debounce: time.Second},
			Log:         config.AppLog{File: "/srv/tine/log/web.log", MaxSize: 1 << 20, Keep: 7, OnFull: config.OnFullDrop}, Complete: true,
		}, {
			Name: "migrate", Command: []string{"/srv/tine/migrate"}, Dir: "/srv/tine/sub", Workers: 1,
			Restart: config.RestartOnFailure, Backoff: config.NewApp("").Backoff, StartLimit: 5, ReadyTimeout: 30 * time.Second,
			DrainDelay: time.Second, DrainTimeout: 30 * time.Second, KillAfter: 5 * time.Second, Rollout: config.RolloutSurge,
			MaxSurge: 1, CPUAffinity: config.CPUAffinityAuto, Policy: config.PolicyLeast, Steering: config.SteeringAuto,
			OnOverload: config.OverloadQueue, StallTimeout: 30 * time.Second, RecycleJitter: 0.1, OneShot: true,
			DependsOn: map[string]string{"mail": config.DependsReady}, Watch: config.Watch{Paths: []string{"/srv/tine/sub"}, Debounce: 200 * time.Millisecond},
			Log: config.AppLog{File: "/srv/tine/log/migrate.log", OnFull: config.OnFullBlock}, Complete: true,
		}, {
			Name: "mail", Command: []string{"mail", "--queue", "5"}, Dir: "/srv/tine", Listen: []string{":2525"},
			Restart: config.RestartOnFailure, Backoff: config.NewApp("").Backoff, StartLimit: 5, ReadyTimeout: 30 * time.Second,
			DrainDelay: time.Second, DrainTimeout: 30 * time.Second, KillAfter: 5 * time.Second, Rollout: config.RolloutSurge,
			MaxSurge: 1, GOMEMLIMIT: -1, CPUAffinity: config.CPUAffinityAuto, Policy: config.PolicyCPU, Steering: config.SteeringAuto,
			OnOverload: config.OverloadQueue, StallTimeout: 10 * time.Millisecond, RecycleJitter: 0.1,
			Log: config.AppLog{OnFull: config.OnFullBlock}, Complete: true,
		}},
		Cache: []config.CacheValue{
			{Key: "usersCount", SQL: config.SQL{Driver: "sqlite", DSN: "/srv/tine/shop.db", Query: "SELECT count(*) FROM users"},
				Every: time.Minute, Timeout: 2 * time.Second, Jitter: 0.1, Dir: "/srv/tine", Complete: true},
			{Key: "version", File: "/srv/tine/VERSION", Every: 5 * time.Second, Timeout: 5 * time.Second, Dir: "/srv/tine", Complete: true},
			{Key: "load", Exec: []string{"sh", "-c", "uptime | cut -d, -f3"}, Every: 5 * time.Second, Timeout: 5 * time.Second,
				Dir: "/tmp", Env: map[string]string{"LANG": "C"}, Complete: true},
			{Key: "list", Exec: []string{"/srv/tine/list", "-v"}, Every: 5 * time.Second, Timeout: 5 * time.Second, Dir: "/srv/tine", Complete: true},
		},
		Log:       config.Log{Format: "json", Level: "debug", File: "/srv/tine/log/tine.log", MaxSize: 10 << 20, MaxAge: 24 * time.Hour, Keep: 3, Compress: true},
		Control:   "/srv/tine/run/tine.sock",
		Dashboard: config.Dashboard{Listen: "127.0.0.1:7077", TokenFile: "/srv/tine/token"},
		Metrics:   config.Metrics{Listen: "127.0.0.1:9464"},
		Health:    config.Health{Listen: ":8086"},
		StopDelay: 2 * time.Second, StopTimeout: 25 * time.Second,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestConfigSmallest(t *testing.T) {
	c := load(t, "/srv", "apps: {web: {command: server}}")
	want := (&config.Config{Apps: []config.App{{Name: "web", Command: []string{"server"}, Dir: "/srv"}}}).WithDefaults()
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
	if c.Name != "web" || c.Log != (config.Log{Format: "auto", Level: "info"}) {
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
	var one *config.Problem
	if !errors.As(err, &one) {
		t.Fatalf("got %v", err)
	}
	if one.File != path || one.Line != 1 || one.Column != 14 || one.Path != "apps.web.comand" {
		t.Errorf("got %+v", one)
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

// parts loads an archive that is good.
func parts(t *testing.T, archive string) *config.Config {
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
	again, err := Reload(c)
	if err != nil || !reflect.DeepEqual(again, c) || c.Name != "live" {
		t.Errorf("got %+v and %+v, %v", c, again, err)
	}
	if want := []string{filepath.Join(dir, "tine.yaml"), filepath.Join(dir, "apps/web.yaml")}; !reflect.DeepEqual(c.Files(), want) {
		t.Errorf("got %q", c.Files())
	}
	if _, err := Reload(&config.Config{}); err == nil {
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
			_, err = config.ReadEnvFile(p)
			done <- err
		}()
		for range 2 {
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "not a regular file") {
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
		written := YAML(c)
		again, err := parseConfig("written.yaml", "/elsewhere", written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		if changes := Diff(c, again); len(changes) > 0 {
			t.Errorf("what was written is something else: %v\n%s", changes, written)
		}
	})
}

// parseConfig decodes text, whose faults are reported as being in the file called name and whose relative paths are
// relative to dir.
func parseConfig(name, dir string, text []byte) (*config.Config, error) {
	return newDecoder(diskLoader(LoadOptions{})).load(name, filepath.Join(dir, filepath.Base(name)), text)
}

package master

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

func script(script string) config.Hook {
	return config.Hook{Command: []string{"sh", "-c", script}, Timeout: 5 * time.Second}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

func TestHooksOfALife(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	say := func(kind, vars string) config.Hook {
		return script(`echo "` + kind + ` $TINE_APP $TINE_GENERATION` + vars + `" >> ` + told + `; echo said by ` + kind)
	}
	m := startMaster(t, func(c *config.Config) {
		c.Apps[0].Hooks = config.Hooks{
			BeforeStart: say("before_start", ""),
			AfterReady:  say("after_ready", ""),
			BeforeDrain: say("before_drain", " $TINE_SLOT"),
			OnCrash:     say("on_crash", " $TINE_SLOT $TINE_WORKER $TINE_PID $TINE_EXIT_CODE $TINE_SIGNAL"),
		}
	})
	hook := func(kind string) func(api.Event) bool {
		return func(e api.Event) bool { return e.Kind == "hook" && e.Reason == kind }
	}
	m.await(0, hook(config.HookAfterReady))
	if got := read(t, told); got != "before_start web 1\nafter_ready web 1\n" {
		t.Fatalf("at the start:\n%s", got)
	}
	mark := m.lastEvent()
	m.must(api.Order{Verb: api.VerbReload, App: "web"})
	m.await(mark, hook(config.HookAfterReady))
	got := strings.TrimPrefix(read(t, told), "before_start web 1\nafter_ready web 1\n")
	want := "before_start web 2\nbefore_drain web 1 0\nbefore_drain web 1 1\nafter_ready web 2\n"
	if got != want {
		t.Errorf("in a reload:\n%s", got)
	}
	mark = m.lastEvent()
	m.must(api.Order{Verb: api.VerbSignal, App: "web", Slot: slotOf(1), Signal: "KILL"})
	m.await(mark, hook(config.HookOnCrash))
	m.await(mark, of("web", "ready"))
	crash := strings.Split(strings.TrimSpace(read(t, told)), "\n")
	if last := crash[len(crash)-1]; !regexp.MustCompile(`^on_crash web 2 1 4 \d+ -1 SIGKILL$`).MatchString(last) {
		t.Errorf("of a crash: %q", last)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, told); !strings.HasSuffix(got, "before_drain web 2 0,1\n") {
		t.Errorf("in the stop both drain with one hook:\n%s", got)
	}
	if !strings.Contains(m.log.String(), `"hook":"after_ready"`) || !strings.Contains(m.log.String(), `"stream":"hook","message":"said by on_crash"`) {
		t.Error("the output of hooks is not in the log")
	}
}

func TestHookThatFailsAbortsARollout(t *testing.T) {
	no := filepath.Join(t.TempDir(), "no")
	m := startMaster(t, func(c *config.Config) {
		c.Apps[0].Hooks.BeforeStart = script("test ! -e " + no + " || { echo no licence >&2; exit 9; }")
	})
	if err := os.WriteFile(no, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := pids(m.app("web"))
	_, err := m.do(api.Order{Verb: api.VerbReload, App: "web"})
	if err == nil || !strings.Contains(err.Error(), "hook before_start: exit code 9: no licence") {
		t.Errorf("got %v", err)
	}
	if a := m.app("web"); a.Ready != 2 || pids(a)[0] != before[0] || pids(a)[1] != before[1] {
		t.Errorf("%+v", a)
	}
	if err := os.Remove(no); err != nil {
		t.Fatal(err)
	}
	m.must(api.Order{Verb: api.VerbReload, App: "web"})
}

// TestSlowHooksHoldUpNothing: a drain goes on without its hook when half its time is
// over, a kill at once; a hook that takes too long is killed with all that it started.
func TestSlowHooksHoldUpNothing(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	m := startMaster(t, func(c *config.Config) {
		a := &c.Apps[0]
		a.DrainTimeout = 3 * time.Second // a race detector takes one of them to exit
		a.Hooks.BeforeDrain = script("sleep 60 & wait")
		a.Hooks.AfterReady = config.Hook{Command: []string{"sh", "-c", "(sleep 1; echo > " + left + ") & wait"}, Timeout: 100 * time.Millisecond}
	})
	e := m.await(0, of("web", "hook failed"))
	if e.Reason != config.HookAfterReady || !strings.Contains(e.Message, "not done within 100ms") {
		t.Errorf("%+v", e)
	}
	began := time.Now()
	m.must(api.Order{Verb: api.VerbReload, App: "web"})
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("two drains took %s with a hook that never ends", took)
	}
	for _, e := range m.events("drain timeout", "killing") {
		t.Errorf("%+v", e)
	}
	began = time.Now()
	if err := m.s.Kill(); err != nil {
		t.Fatal(err)
	}
	m.wait()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a kill took %s", took)
	}
	if read(t, left) != "" {
		t.Error("what a hook started outlived it")
	}
}

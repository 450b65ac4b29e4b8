package master

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/keeper"
)

// keptRole makes the test binary a keeper, or the master below it.
const keptRole = "TEST_KEPT_MASTER"

// runKept is the keeper of these tests, and the master of the config that the
// environment names.
func runKept(cfg string) int {
	playOldKernel()
	keeper.Main()
	began := false // by an upgrade
	c, err := keeper.Dial()
	if err == nil && c == nil {
		exe, _ := os.Executable()
		most, _ := strconv.Atoi(os.Getenv(maxFilesKey))
		err = keeper.Exec(keeper.Options{Command: exe, MaxFiles: most})
	}
	files, e := keeper.Inherited()
	u, eu := handover.New(5 * time.Second)
	if err = errors.Join(err, e, eu); err == nil && u.HasParent() {
		files, err = u.Receive(context.Background())
		began = true
		err = errors.Join(err, atStep(cfg, atReceived))
		if _, e := os.Stat(filepath.Join(filepath.Dir(cfg), "die")); e == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	conf, err := file.Load(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	opts := []Option{}
	if began {
		opts = append(opts, WithSuccession(c.Lead, func(context.Context) error { return followed(u, cfg) }))
	}
	s, err := New(conf, append(opts, WithSignals(), WithStore(c, files), WithUpgrader(u), WithNextKeeper(succeedUnless(cfg), func() { os.Unsetenv(keeper.EnvKeeper) }), WithControl(filepath.Join(filepath.Dir(cfg), "c", "s")))...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-s.Ready():
			_ = c.Notify("READY=1")
			if began {
				return
			}
			if err := u.Ready(); err != nil {
				fmt.Fprintln(os.Stderr, "not ready:", err)
			}
		case <-ended:
		}
	}()
	upgrades := make(chan os.Signal, 1)
	signal.Notify(upgrades, syscall.Signal(40))
	go func() {
		for range upgrades { // to what the file says
			binary, err := os.ReadFile(filepath.Join(filepath.Dir(cfg), "binary"))
			if err == nil {
				err = s.Upgrade(context.Background(), string(binary))
			}
			fmt.Fprintln(os.Stderr, "upgrade:", err)
		}
	}()
	err = s.Run(context.Background())
	close(ended)
	_ = c.Notify("STOPPING=1")
	if exit := (*ExitError)(nil); errors.As(err, &exit) {
		return exit.Code
	}
	return 0
}

// keptMaster is a master below a keeper, seen from outside.
type keptMaster struct {
	t      *testing.T
	dir    string
	keeper *exec.Cmd
	log    *lockedBuffer
	ended  chan error
	client *control.Client
}

func startKept(t *testing.T, config string, prepare ...func(dir string)) *keptMaster {
	t.Helper()
	m := makeKept(t)
	for _, f := range prepare {
		f(m.dir)
	}
	m.start(config)
	return m
}

// makeKept makes what is there before the start.
func makeKept(t *testing.T) *keptMaster {
	t.Helper()
	m := &keptMaster{t: t, dir: t.TempDir(), log: &lockedBuffer{}, ended: make(chan error, 1)}
	m.behave("")
	return m
}

func (m *keptMaster) start(config string) {
	t := m.t
	t.Helper()
	m.configure(config)
	if err := os.Mkdir(m.dir+"/c", 0o700); err != nil {
		t.Fatal(err)
	}
	m.keeper = exec.Command(os.Args[0])
	m.keeper.Env = append(os.Environ(), keptRole+"="+m.dir+"/tine.yaml")
	m.keeper.Stdout, m.keeper.Stderr = m.log, m.log
	if err := m.keeper.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { m.ended <- m.keeper.Wait() }()
	m.client = control.NewClient(m.dir + "/c/s")
	t.Cleanup(func() {
		m.client.Close()
		_ = m.keeper.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.ended:
		case <-time.After(20 * time.Second):
			t.Error("the keeper does not end")
			_ = m.keeper.Process.Kill()
			<-m.ended
		}
		if t.Failed() {
			t.Logf("log:\n%s", m.log)
		}
	})
	m.await("all workers are ready", func(st api.Status) bool { return allAppsReady(st) })
}

func allAppsReady(st api.Status) bool {
	for _, a := range st.Apps {
		if !a.OneShot && a.Ready < a.Desired || a.Rollout != nil || len(a.Workers) != a.Desired {
			return false
		}
	}
	return len(st.Apps) > 0
}

// configure writes the config: HOW stands for the behaviour's file.
func (m *keptMaster) configure(config string) {
	m.t.Helper()
	config = strings.NewReplacer("PROGRAM", os.Args[0], "HOW", m.dir+"/behaviour").Replace(config)
	if err := os.WriteFile(m.dir+"/tine.yaml", []byte(config), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *keptMaster) behave(how string) {
	m.t.Helper()
	if err := os.WriteFile(m.dir+"/behaviour", []byte(how), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// await asks for the status, of whatever master there is, until it is as it should be.
func (m *keptMaster) await(what string, ok func(api.Status) bool) api.Status {
	m.t.Helper()
	ctx := bounded(m.t)
	var last api.Status
	for {
		st, err := m.client.Status(ctx)
		if err == nil && ok(st) {
			return st
		}
		if err == nil {
			last = st
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			m.t.Fatalf("not seen: %s; last: %+v, %v", what, last, err)
		}
	}
}

// crash kills the master, and waits for the next one to be in charge of n workers.
func (m *keptMaster) crash(old api.Status) (now api.Status, took time.Duration) {
	m.t.Helper()
	at := time.Now()
	if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	now = m.await("another master", func(st api.Status) bool { return st.PID != old.PID })
	return now, time.Since(at)
}

func (m *keptMaster) do(o api.Order) error {
	return m.client.Do(bounded(m.t), o, func(api.Progress) {})
}

// load asks the app from n clients until the end, and answers what was lost.
func (m *keptMaster) load(address string, n int) (stop func() (asked int, lost map[string]int)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	asked, lost := 0, map[string]int{}
	for i := range n {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: 10 * time.Second}
		wg.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				r, err := client.Get("http://" + address)
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
				mu.Lock()
				asked++
				if err != nil {
					lost[err.Error()]++
				}
				mu.Unlock()
				time.Sleep(3 * time.Millisecond) // the machine is for others too
			}
		})
	}
	return func() (int, map[string]int) {
		cancel()
		wg.Wait()
		return asked, lost
	}
}

func onlyApp(st api.Status) api.App { return st.Apps[0] }

func addressOf(a api.App) string { return strings.TrimPrefix(a.Listen[0], "tcp://") }

const keptConfig = `
name: test
log: {format: json, level: debug}
apps:
  web:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: HOW, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 3
    drain_delay: 300ms
`

// A master is killed again and again, and nobody but who looks at its PID knows.
func TestMasterCrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	for range 5 {
		var took time.Duration
		st, took = m.crash(st)
		t.Logf("the next master answers after %v", took)
		if now := pids(onlyApp(st)); !slices.Equal(now, before) {
			t.Fatalf("workers are %v, were %v", now, before)
		}
		if !allAppsReady(st) || onlyApp(st).Generation != 1 || onlyApp(st).RestartsTotal != 0 {
			t.Fatalf("%+v", onlyApp(st))
		}
	}
	if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 4}); err != nil {
		t.Fatal(err)
	}
	st, _ = m.crash(m.await("four", allAppsReady))
	if n := len(onlyApp(st).Workers); n != 4 {
		t.Errorf("%d workers after a scale and a crash, want 4", n)
	}
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	st = m.await("reloaded", allAppsReady)
	for _, pid := range pids(onlyApp(st)) {
		if slices.Contains(before, pid) {
			t.Errorf("worker %d has survived a reload", pid)
		}
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
}

// TestWorkersOfOneGenerationAreNotEachOther: many that start at the same time find each what is its own, also where the
// generation is one of the last master.
func TestWorkersOfOneGenerationAreNotEachOther(t *testing.T) {
	m := startKept(t, keptConfig)
	m.crash(m.await("ready", allAppsReady))
	if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 16}); err != nil {
		t.Fatal(err)
	}
	for _, w := range onlyApp(m.await("sixteen", allAppsReady)).Workers {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.PID))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("TINE_SLOT=%d", w.Slot); !slices.Contains(strings.Split(string(env), "\x00"), want) {
			t.Errorf("worker %d in slot %d does not find %s", w.ID, w.Slot, want)
		}
	}
}

// What dies together with the master is found by the next one.
func TestMasterAndWorkerCrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	if err := syscall.Kill(before[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.crash(st)
	st = m.await("healed", func(st api.Status) bool {
		return allAppsReady(st) && !slices.Contains(pids(onlyApp(st)), before[1])
	})
	now := pids(onlyApp(st))
	if !slices.Contains(now, before[0]) || !slices.Contains(now, before[2]) {
		t.Errorf("workers are %v, were %v", now, before)
	}
}

// A rollout goes on with the master that comes.
func TestMasterCrashInARollout(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	m.behave("hang")
	rolled := make(chan error, 1)
	go func() { rolled <- m.do(api.Order{Verb: api.VerbReload, App: "web"}) }()
	st = m.await("a new worker starts", func(st api.Status) bool {
		a := onlyApp(st)
		return a.Rollout != nil && slices.ContainsFunc(a.Workers, func(w api.Worker) bool { return w.State == "starting" && w.PID != 0 })
	})
	m.await("it hangs", func(api.Status) bool { return strings.Contains(m.log.String(), "waiting for the database") })
	starting := 0
	for _, w := range onlyApp(st).Workers {
		if w.State == "starting" {
			starting = w.PID
		}
	}
	m.behave("")
	st, _ = m.crash(st)
	if err := <-rolled; err == nil {
		t.Error("the order has ended well, though its master was killed")
	}
	if a := onlyApp(st); a.Rollout == nil {
		t.Errorf("no rollout after the crash: %+v", a)
	}
	// The one that hangs is not known to hang: it has its time anew. Nobody need wait for that.
	if err := syscall.Kill(starting, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.await("the rollout's end", func(st api.Status) bool {
		r := onlyApp(st).Rollout
		return r == nil || r.State == api.RolloutAborted
	})
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	st = m.await("rolled", allAppsReady)
	for _, pid := range pids(onlyApp(st)) {
		if slices.Contains(before, pid) {
			t.Errorf("worker %d is of before the rollout", pid)
		}
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
}

// An edit that nobody has applied stays one when the master dies or is upgraded, and the status tells of it; once it is
// applied, it outlives masters, also where the file says something else again.
func TestDraftsStayDrafts(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	draft := strings.Replace(strings.Replace(keptConfig, "workers: 3", "workers: 5", 1), `GOMAXPROCS: "1"`, `GOMAXPROCS: "1", DRAFT: "1"`, 1)
	m.configure(draft)
	told := func(st api.Status) bool {
		return strings.Contains(st.Unapplied, "apps.web.workers") && strings.Contains(st.Unapplied, "apps.web.env.DRAFT")
	}
	goOn := func() {
		t.Helper()
		st = m.await("the draft is told of", told)
		if now := pids(onlyApp(st)); !slices.Equal(now, before) || onlyApp(st).Generation != 1 {
			t.Fatalf("workers are %v, were %v: %+v", now, before, onlyApp(st))
		}
	}
	goOn()
	m.crash(st)
	goOn()
	m.upgrade(st, os.Args[0])
	goOn()
	m.await("the log tells of it", func(api.Status) bool {
		return strings.Count(m.log.String(), "the configuration on disk is not what runs, 2 of its settings are not applied") >= 2
	})
	if _, err := m.client.Apply(bounded(t), api.ApplyRequest{}); err != nil {
		t.Fatal(err)
	}
	m.configure(keptConfig)
	m.crash(m.await("applied", func(st api.Status) bool { return allAppsReady(st) && len(onlyApp(st).Workers) == 5 }))
	st = m.await("the applied one", told)
	if a := onlyApp(st); len(a.Workers) != 5 || a.Generation != 2 {
		t.Errorf("what was applied does not run: %+v", a)
	}
}

// upgrade has the master replaced by binary, and waits for the next one.
func (m *keptMaster) upgrade(old api.Status, binary string) (now api.Status, took time.Duration) {
	m.t.Helper()
	if err := os.WriteFile(m.dir+"/binary", []byte(binary), 0o600); err != nil {
		m.t.Fatal(err)
	}
	at := time.Now()
	if err := syscall.Kill(old.PID, syscall.Signal(40)); err != nil {
		m.t.Fatal(err)
	}
	now = m.await("another master", func(st api.Status) bool { return st.PID != old.PID })
	return now, time.Since(at)
}

// Another program takes over, again and again, and no worker knows.
func TestUpgrade(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	for range 5 {
		var took time.Duration
		st, took = m.upgrade(st, os.Args[0])
		t.Logf("upgraded in %v", took)
		if now := pids(onlyApp(st)); !slices.Equal(now, before) {
			t.Fatalf("workers are %v, were %v", now, before)
		}
	}
	st, _ = m.crash(st)
	if now := pids(onlyApp(st)); !slices.Equal(now, before) {
		t.Fatalf("workers are %v after a crash that followed upgrades, were %v", now, before)
	}
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
}

// A new master that fails, wherever, leaves the old one and its workers as they were.
func TestUpgradeThatFails(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	end := m.load(addressOf(onlyApp(st)), 4)
	fails := func(binary string) {
		t.Helper()
		if err := os.WriteFile(m.dir+"/binary", []byte(binary), 0o600); err != nil {
			t.Fatal(err)
		}
		n := strings.Count(m.log.String(), "upgrade failed, everything runs on")
		if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
			t.Fatal(err)
		}
		m.await("the old master", func(st api.Status) bool {
			return strings.Count(m.log.String(), "upgrade failed, everything runs on") > n
		})
		if now := m.await("the old master", allAppsReady); now.PID != st.PID || !slices.Equal(pids(onlyApp(now)), before) {
			t.Errorf("after %s: master %d with %v, was %d with %v", binary, now.PID, pids(onlyApp(now)), st.PID, before)
		}
	}
	fails("/nowhere/tine")
	fails("/bin/false")
	m.configure("apps: {")
	fails(os.Args[0])
	m.configure(keptConfig)
	die := m.dir + "/die" // once the old one has let go
	for range 3 {
		if err := os.WriteFile(die, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		fails(os.Args[0])
	}
	if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 4}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(die); err != nil {
		t.Fatal(err)
	}
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	now, _ := m.upgrade(st, os.Args[0])
	if n := len(onlyApp(now).Workers); n != 4 {
		t.Errorf("%d workers", n)
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
}

// A stop works as ever after a crash, and leaves nothing behind.
func TestStopAfterAMasterCrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st, _ := m.crash(m.await("ready", allAppsReady))
	if err := m.keeper.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-m.ended:
		m.ended <- err
		if err != nil {
			t.Errorf("the keeper ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the keeper does not end")
	}
	for _, pid := range append(pids(onlyApp(st)), st.PID) {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

// numbers are what the workers have printed, by worker and in the log's order.
func (m *keptMaster) numbers() map[string][]int {
	all := map[string][]int{}
	for line := range strings.Lines(m.log.String()) {
		var said struct {
			Message string `json:"message"`
			PID     int    `json:"pid"`
		}
		var n int
		if json.Unmarshal([]byte(line), &said) != nil {
			continue
		}
		if _, err := fmt.Sscanf(said.Message, "number %d", &n); err == nil {
			key := strconv.Itoa(said.PID)
			all[key] = append(all[key], n)
		}
	}
	return all
}

// No line is lost, whatever happens to the masters; of one that was killed some come twice.
func TestLinesOutliveMasters(t *testing.T) {
	m := startKept(t, strings.Replace(keptConfig, "level: debug", "level: info", 1))
	m.behave("count")
	if err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	st := m.await("counting", allAppsReady)
	for range 3 {
		st, _ = m.upgrade(st, os.Args[0])
	}
	for pid, numbers := range m.numbers() {
		for i, n := range numbers {
			if n != i {
				t.Fatalf("worker %s: line %d is number %d, after upgrades", pid, i, n)
			}
		}
	}
	for range 3 {
		st, _ = m.crash(st)
	}
	st, _ = m.upgrade(st, os.Args[0])
	if err := m.keeper.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-m.ended:
		m.ended <- err
	case <-time.After(20 * time.Second):
		t.Fatal("the keeper does not end")
	}
	all := m.numbers()
	if len(all) != len(onlyApp(st).Workers) {
		t.Errorf("lines of %d workers", len(all))
	}
	for pid, numbers := range all {
		next, twice := 0, 0
		for _, n := range numbers {
			switch {
			case n == next:
				next++
			case n < next:
				twice++
			default:
				t.Fatalf("worker %s: number %d comes after %d", pid, n, next-1)
			}
		}
		if next < 100 || !strings.Contains(m.log.String(), fmt.Sprintf("last number %d of %s", next-1, pid)) {
			t.Errorf("worker %s: %d lines, and the last is not the last that it printed", pid, next)
		}
		t.Logf("worker %s: %d lines, %d of them twice", pid, next, twice)
	}
}

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestTenRolls: ten SIGUSR2 in a row are the rollout that begins and one more.
func TestTenRolls(t *testing.T) { bothWays(t, testTenRolls) }

func testTenRolls(t *testing.T, way option) {
	dir := folder(t)
	gatePath := dir + "/gate" // missing at first: no gate
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_GATE: "$DIR/gate"}
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, way)
	m.await(is("all workers are ready"))
	l := m.load(4)
	fifo(t, dir, "gate") // the first new worker waits: all ten come during its rollout
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout begin"))
	for range 9 {
		m.signal(syscall.SIGUSR2)
	}
	m.awaitFrom(mark, is("rollout queued"))
	openGate(t, gatePath)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "rollout done" && e.Generation == 3 })
	l.lossless(t)
	m.stop()
	if n := len(m.since(mark, is("rollout begin"))); n != 2 {
		t.Errorf("%d rollouts, want 2", n)
	}
	if n := len(m.since(mark, is("spawned"))); n != 4 {
		t.Errorf("%d workers were started, want 4", n)
	}
}

// TestRollThenStop: the stop wins, whatever the rollout has started.
func TestRollThenStop(t *testing.T) { bothWays(t, testRollThenStop) }

func testRollThenStop(t *testing.T, way option) {
	for range 5 { // at once, and thus at different moments of the rollout
		m := startReady(t, twoWorkers, way)
		m.signal(syscall.SIGUSR2)
		m.signal(syscall.SIGTERM)
		m.ended(0)
		if n := len(m.since(0, is("rollout done"))); n > 0 {
			t.Error("the rollout was finished before the stop")
		}
	}
	// In the middle of one.
	m := startReady(t, twoWorkers, way)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("spawned"))
	m.signal(syscall.SIGTERM)
	m.ended(0)
	m.awaitFrom(mark, is("rollout cancelled"))
}

// TestStopFinishesRequests: a request in flight at SIGTERM gets its whole answer.
func TestStopFinishesRequests(t *testing.T) { bothWays(t, testStopFinishesRequests) }

func testStopFinishesRequests(t *testing.T, way option) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		m := startReady(t, oneWorker, way)
		answer := m.slow(t, 300)
		m.signal(sig)
		if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
			t.Errorf("%s cut a request: %v %q", sig, err, text)
		}
		m.ended(0)
	}
}

// slow begins a request of so many milliseconds; it is in its handler when slow
// returns. The answer is waited for by the function that it returns.
func (m *tine) slow(t *testing.T, ms int) (answer func() (string, error)) {
	t.Helper()
	return begun(t, m.address(), fmt.Sprintf("GET /slow?ms=%d HTTP/1.0\r\nHost: x\r\n\r\n", ms))
}

// TestStopTwice: the second one stops at once.
func TestStopTwice(t *testing.T) { bothWays(t, testStopTwice) }

func testStopTwice(t *testing.T, way option) {
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    drain_delay: 50ms
    drain_timeout: 60s
    kill_after: 60s
`, way)
	answer := m.slow(t, 60_000)
	mark := m.mark()
	m.signal(syscall.SIGTERM)
	m.awaitFrom(mark, is("stopping"))
	began := time.Now()
	m.signal(syscall.SIGTERM)
	m.ended(0)
	if took := time.Since(began); took > 30*time.Second { // half of what the request, the drain and the kill may take
		t.Errorf("the stop at once took %s", took)
	}
	if text, err := answer(); err == nil && strings.HasSuffix(text, "..") {
		t.Error("the request in flight was answered?")
	}
}

// TestReloadBroken: the error has its line, and all runs on.
func TestReloadBroken(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers)
	before := fmt.Sprint(m.workers(""))
	for _, c := range []struct{ config, line, word string }{
		{"apps:\n  web:\n    comand: [x]\n", "tine.yaml:3", "command"},
		{"apps:\n  web:\n    command: [x]\n    drain_delay: soon\n", "tine.yaml:4", "soon"},
		{"apps: [\n", "tine.yaml:", ""},
		{"", "tine.yaml", ""},
	} {
		write(t, m.dir, "tine.yaml", c.config)
		mark := m.mark()
		m.signal(syscall.SIGHUP)
		e := m.awaitFrom(mark, func(e event) bool { return e.Level == "error" })
		for _, w := range []string{"configuration not applied", c.line, c.word} {
			if !strings.Contains(e.Message, w) {
				t.Errorf("the message does not say %q: %s", w, e.Message)
			}
		}
	}
	if err := os.Remove(filepath.Join(m.dir, "tine.yaml")); err != nil {
		t.Fatal(err)
	}
	mark := m.mark()
	m.signal(syscall.SIGHUP)
	m.awaitFrom(mark, func(e event) bool { return e.Level == "error" && strings.Contains(e.Message, "tine.yaml") })
	if now := fmt.Sprint(m.workers("")); now != before {
		t.Errorf("workers %s, want the old ones %s", now, before)
	}
	m.who()
	m.stop()
}

// TestReloadWithoutAFile: there is nothing to read again, which the log shows.
func TestReloadWithoutAFile(t *testing.T) {
	t.Parallel()
	m := startIn(t, folder(t), []string{"run", "-l", "127.0.0.1:0", "-n", "1", "--drain-delay", "50ms", "--", memberPath})
	m.await(is("all workers are ready"))
	m.signal(syscall.SIGHUP)
	m.await(func(e event) bool { return e.Level == "error" && strings.Contains(e.Message, "no config file") })
	m.who()
	m.stop()
}

// TestReload changes a config in every way that can be applied, under load.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "value.txt", "one")
	write(t, dir, "other.txt", "two")
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
cache:
  v: {file: value.txt, every: 50ms}
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	address := m.address()
	l := m.load(4)
	reload := func(config string) (mark int) {
		t.Helper()
		write(t, dir, "tine.yaml", config)
		mark = m.mark()
		m.signal(syscall.SIGHUP)
		m.awaitFrom(mark, is("configuration applied"))
		return mark
	}

	// Nothing changed: nothing happens.
	before := fmt.Sprint(m.workers("web"))
	b, err := os.ReadFile(dir + "/tine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reload(string(b))
	if now := fmt.Sprint(m.workers("web")); now != before {
		t.Errorf("workers %s after a reload without a change, want %s", now, before)
	}

	// More workers, at once and without a rollout.
	mark := reload(`
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 3
    $CALM
cache:
  v: {file: value.txt, every: 50ms}
`)
	m.awaitFrom(mark, is("ready"))
	if n := len(m.since(mark, is("rollout begin"))); n > 0 {
		t.Error("a change of scale has rolled")
	}

	// Fewer workers, another environment, which rolls, another source, and one more app.
	mark = reload(`
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_MODE: changed}
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
  more:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $CALM
cache:
  v: {file: other.txt, every: 50ms}
`)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "rollout done" && e.App == "web" })
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.App == "more" })
	m.awaitFrom(mark, is("retired"))
	workers := m.workers("web")
	if len(workers) != 2 {
		t.Errorf("%d workers, want 2", len(workers))
	}
	for _, pid := range workers {
		if a := parseAbout(t, m.mustAsk(pid, "/")); a.Mode != "changed" {
			t.Errorf("worker %d has mode %q", pid, a.Mode)
		}
		eventually.True(t, "the value comes from the new source", func() bool {
			v, err := m.ask(pid, "/value?key=v")
			return err == nil && strings.HasSuffix(v, " two")
		})
	}
	if text, err := fetch(fresh, "http://"+m.addresses("more")[0]+"/"); err != nil || parseAbout(t, text).App != "more" {
		t.Errorf("the new app does not answer: %v %s", err, text)
	}

	// The app is taken out again, with its address; the first is not touched.
	before = fmt.Sprint(m.workers("web"))
	mark = reload(`
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_MODE: changed}
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
`)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "app ended" && e.App == "more" })
	if _, err := fetch(fresh, "http://"+m.addresses("more")[0]+"/"); err == nil {
		t.Error("an app that was taken out still answers")
	}
	if now := fmt.Sprint(m.workers("web")); now != before {
		t.Errorf("workers %s, want the untouched %s", now, before)
	}
	eventually.True(t, "a value whose source is gone is gone", func() bool {
		_, err := m.ask(m.workers("web")[0], "/value?key=v")
		var refused *refusedError
		return errors.As(err, &refused) && refused.status == http.StatusNotFound
	})
	if m.address() != address {
		t.Error("the address has changed")
	}
	l.lossless(t)
	m.stop()
}

// TestScaleBySignals: SIGTTIN adds a worker, SIGTTOU takes one away, never the last.
func TestScaleBySignals(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneCalm)
	l := m.load(4)
	mark := m.mark()
	m.signal(syscall.SIGTTIN)
	e := m.awaitFrom(mark, is("ready"))
	if e.Slot != 1 {
		t.Errorf("the new worker is in slot %d, want 1", e.Slot)
	}
	eventually.True(t, "the new worker gets connections", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.pids[e.PID] })
	mark = m.mark()
	m.signal(syscall.SIGTTOU)
	m.awaitFrom(mark, is("exited", e.PID))
	m.awaitFrom(mark, is("retired"))
	mark = m.mark()
	m.signal(syscall.SIGTTOU)
	m.roll() // passes through the loop after it
	if n := len(m.since(mark, is("scaled"))); n > 0 {
		t.Error("the last worker was scaled away")
	}
	l.lossless(t)
	m.stop()
}

// TestReopenLog: after a rotation SIGUSR1 makes the log go on in a new file, and
// nothing is lost between.
func TestReopenLog(t *testing.T) { bothWays(t, testReopenLog) }

func testReopenLog(t *testing.T, way option) {
	dir := folder(t)
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
log: {file: "$DIR/tine.log"}
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, way)
	logged := func(name, what string) bool {
		b, err := os.ReadFile(filepath.Join(dir, name))
		return err == nil && strings.Contains(string(b), what)
	}
	eventually.True(t, "the log is in its file", func() bool { return logged("tine.log", "all workers are ready") })
	if err := os.Rename(dir+"/tine.log", dir+"/tine.log.1"); err != nil {
		t.Fatal(err)
	}
	m.signal(syscall.SIGUSR1)
	eventually.True(t, "the log goes on in a new file", func() bool { return logged("tine.log", "log file reopened") })
	m.signal(syscall.SIGUSR2)
	eventually.True(t, "it has what follows", func() bool { return logged("tine.log", "rollout done") })
	if logged("tine.log.1", "rollout done") {
		t.Error("the old file still grows")
	}
	// A folder that is gone: the old file stays in use.
	if err := os.Rename(dir+"/tine.log", dir+"/tine.log.2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/tine.log", 0o755); err != nil {
		t.Fatal(err)
	}
	m.signal(syscall.SIGUSR1)
	eventually.True(t, "the failure is told in the old file", func() bool { return logged("tine.log.2", "not reopened") })
	m.signal(syscall.SIGTERM)
	m.ended(0)
	if !logged("tine.log.2", "app ended") {
		t.Error("the last lines are missing")
	}
}

// reloadTo writes a config and has it applied, or refused.
func (m *tine) reloadTo(dir, config, outcome string) (mark int) {
	m.t.Helper()
	write(m.t, dir, "tine.yaml", config)
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, outcome) })
	return mark
}

// oneApp is a config of one app on a certain port.
func oneApp(name string, port int, more string) string {
	return fmt.Sprintf(`
apps:
  %s:
    command: [$MEMBER]
    listen: ["127.0.0.1:%d"]
    workers: 2
    $CALM
    %s
`, name, port, more)
}

// TestReloadRenames: the new name takes over the sockets, also where it writes their address
// in another way, and the old one leaves when its successor serves.
func TestReloadRenames(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), freePort(t)
	write(t, dir, "tine.yaml", oneApp("web", port, ""))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	l := m.load(4)
	shop := strings.Replace(oneApp("shop", port, "env: {MEMBER_MODE: changed}"), "127.0.0.1", "localhost", 1)
	mark := m.reloadTo(dir, shop, "configuration applied")
	m.awaitFrom(mark, func(e event) bool { return e.Message == "app ended" && e.App == "web" })
	for _, pid := range m.workers("shop") {
		if a := parseAbout(t, m.mustAsk(pid, "/")); a.Mode != "changed" {
			t.Errorf("worker %d has mode %q", pid, a.Mode)
		}
	}
	// And back, while the first is only just gone.
	mark = m.reloadTo(dir, oneApp("web", port, ""), "configuration applied")
	m.awaitFrom(mark, func(e event) bool { return e.Message == "app ended" && e.App == "shop" })
	l.lossless(t)
	m.stop()
}

// TestReloadRenamesAndGrows: a successor that is still starting orders no connection to
// the slots that only it has: those whose worker serves can take them.
func TestReloadRenamesAndGrows(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), freePort(t)
	write(t, dir, "tine.yaml", oneApp("web", port, ""))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	door := fifo(t, dir, "door")
	shop := strings.Replace(oneApp("shop", port, "env: {MEMBER_GATE: "+door+"}"), "workers: 2", "workers: 6", 1)
	mark := m.reloadTo(dir, shop, "configuration applied")
	eventually.True(t, "6 workers that start", func() bool {
		return len(m.since(mark, func(e event) bool { return e.Message == "spawned" && e.App == "shop" })) == 6
	})
	all := m.hold(30)
	defer all.close()
	if answers, silent := all.ask(t, 3*time.Second); len(silent) > 0 {
		t.Errorf("%d of 30 connections wait for workers that start, while %d were answered", len(silent), len(answers))
	}
	openGate(t, door)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "app ended" && e.App == "web" })
	m.evenly(6)
	m.stop()
}

// TestReloadThatCannotBe leaves everything as it was.
func TestReloadThatCannotBe(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), freePort(t)
	first := oneApp("web", port, "")
	write(t, dir, "tine.yaml", first)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	before := fmt.Sprint(m.workers("web"))
	for _, more := range []string{
		"  other: {command: [./no-such-program], workers: 1}\n",
		fmt.Sprintf("  other: {command: [$MEMBER], workers: 1, listen: ['unix:%s/no/such/folder.sock']}\n", dir),
	} {
		m.reloadTo(dir, strings.Replace(first, "workers: 2", "workers: 5", 1)+more, "configuration not applied")
		if now := fmt.Sprint(m.workers("web")); now != before {
			t.Errorf("workers %s after a config that was not applied, want %s", now, before)
		}
	}
	// One that opens and then fails does not take the healthy one along.
	mark := m.reloadTo(dir, first+"  other: {command: [/bin/false], workers: 1, start_limit: 2}\n", "configuration applied")
	m.awaitFrom(mark, func(e event) bool { return e.Message == "app ended" && e.App == "other" })
	if now := fmt.Sprint(m.workers("web")); now != before {
		t.Errorf("workers %s beside an app that gave up, want %s", now, before)
	}
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 70 {
		t.Errorf("exit status %d, want that of the app that gave up", code)
	}
}

// TestReloadAndStopDuringADrain: neither a second SIGHUP nor the first SIGTERM cuts
// short what an app that was taken out still has to answer.
func TestReloadAndStopDuringADrain(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), freePort(t)
	both := oneApp("web", port, "") + strings.TrimPrefix(oneApp("old", freePort(t), ""), "\napps:\n")
	write(t, dir, "tine.yaml", both)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	answer, err := http.Get("http://" + m.addresses("old")[0] + "/slow?ms=1500") // returns when it has begun
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	m.reloadTo(dir, oneApp("web", port, ""), "configuration applied")
	m.reloadTo(dir, oneApp("web", port, "start_limit: 9"), "configuration applied")
	m.signal(syscall.SIGTERM)
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != ".." {
		t.Errorf("the request was cut: %q %v", body, err)
	}
	m.ended(0)
}

// TestStopWhileTheConfigHangs: a config on a disk that does not answer does not make
// the master deaf.
func TestStopWhileTheConfigHangs(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "tine.yaml", oneApp("web", freePort(t), ""))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	if err := os.Remove(dir + "/tine.yaml"); err != nil {
		t.Fatal(err)
	}
	fifo(t, dir, "tine.yaml")
	m.signal(syscall.SIGHUP)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout done"))
	m.stop()
}

//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// kept starts a keeper, whose PID is that of the process that was started.
var kept = withEnv("TINE_KEEPER=on")

// alone starts a master without a keeper.
var alone = withEnv("TINE_KEEPER=off")

// bothWays runs a test alone and kept: it is about what must not be different.
func bothWays(t *testing.T, test func(t *testing.T, way option)) {
	t.Parallel()
	for name, way := range map[string]option{"Alone": alone, "Kept": kept} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, way)
		})
	}
}

// aboveWorkersHere is how many processes are above the workers of a test that does not choose a keeper.
func aboveWorkersHere() int {
	if os.Getenv("TINE_KEEPER") == "on" {
		return 2
	}
	return 1
}

// status asks the master.
func (m *tine) status() (st api.Status, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := control.NewClient(socketIn(m.dir))
	defer client.Close()
	return client.Status(ctx)
}

func (m *tine) mustStatus() api.Status {
	m.t.Helper()
	st, err := m.status()
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

// childrenOf are the children of all threads of a process, the dead ones too.
func childrenOf(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		children, _ := os.ReadFile(path)
		for text := range strings.FieldsSeq(string(children)) {
			if child, err := strconv.Atoi(text); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// masterOf is the PID of the master below a keeper; 0: none lives.
func masterOf(keeper int) int {
	for _, pid := range childrenOf(keeper) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if args := strings.Split(string(line), "\x00"); len(args) > 1 && args[1] == "run" && !gone(pid) {
			return pid
		}
	}
	return 0
}

// master is the PID of the master: of the process that was started, or of the one below it if that is a keeper.
func (m *tine) master() int {
	if pid := masterOf(m.pid); pid != 0 {
		return pid
	}
	return m.pid
}

// says waits for a line of the keeper.
func says(words string) func(event) bool {
	return func(e event) bool {
		text := cmp.Or(e.Message, e.Raw)
		return strings.HasPrefix(text, "keeper: ") && strings.Contains(text, words)
	}
}

// TestKept: the process that is seen from outside is the keeper, which passes signals on.
func TestKept(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st := m.mustStatus()
	if st.KeeperPID != m.pid || st.PID != masterOf(m.pid) || st.PID == m.pid {
		t.Errorf("the status has master %d and keeper %d; want %d and %d", st.PID, st.KeeperPID, masterOf(m.pid), m.pid)
	}
	before := m.workers("")
	l := m.steadily(4)
	m.roll()
	l.lossless(t)
	for slot, pid := range m.workers("") {
		if pid == before[slot] {
			t.Errorf("slot %d was not rolled", slot)
		}
	}
	mark := m.mark()
	m.signal(syscall.SIGTTIN)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 2 })
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.awaitFrom(mark, is("configuration applied"))
	mark = m.mark()
	m.signal(syscall.SIGUSR1)
	m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "no log file to reopen") })
	if env := m.mustAsk(m.workers("")[0], "/env?name=TINE_KEEPER_PID") + m.mustAsk(m.workers("")[0], "/env?name=NOTIFY_SOCKET"); env != "" {
		t.Errorf("a worker knows the keeper: %q", env)
	}
	m.stop()
	if n := len(m.since(0, says("starting another"))); n > 0 {
		t.Error("a master was started after the stop")
	}
}

// TestKeptExitCodes: the keeper ends as the master does.
func TestKeptExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		code   int
	}{
		"NeverReady":   {strings.Replace(strings.Replace(oneWorker, "workers: 1", "workers: 1\n    ready_timeout: 100ms", 1), "listen:", "env: {MEMBER_NEVER_READY: \"1\"}\n    listen:", 1), 70},
		"FailsToStart": {strings.Replace(oneWorker, "listen:", "env: {MEMBER_EXIT: \"3\"}\n    restart: never\n    listen:", 1), 3},
		"NotHere":      {strings.Replace(oneWorker, "127.0.0.1:0", "192.0.2.1:7000", 1), 1},
		"Usage":        {"apps: {}\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startConfig(t, c.config, kept)
			if code := m.wait(patience); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			if left := m.processes(); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// TestKeptFinishes: apps that end by themselves are not a crash.
func TestKeptFinishes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "tine.yaml", strings.Replace(oneWorker, "listen:", "env: {MEMBER_DONE_AFTER: \"$DIR/done\"}\n    listen:", 1))
	done := fifo(t, dir, "done")
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, kept)
	m.await(is("all workers are ready"))
	openGate(t, done)
	m.ended(0)
}

// TestKeptMasterComesBack: whatever it died of, and at once.
func TestKeptMasterComesBack(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers, kept)
	first := m.mustStatus().PID
	syscall.Kill(first, syscall.SIGKILL)
	m.await(says("starting another"))
	eventually.True(t, "another master has ready workers", func() bool {
		st, err := m.status()
		return err == nil && st.PID != first && st.KeeperPID == m.pid && len(st.Apps) == 1 && st.Apps[0].Ready == 2
	})
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestKeptStopWithoutMaster: while none lives a stop ends the workers all the same.
func TestKeptStopWithoutMaster(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers, kept)
	// Each crash makes the keeper wait longer before the next start.
	mark := m.mark()
	for range 6 {
		eventually.True(t, "a master lives", func() bool { return masterOf(m.pid) != 0 })
		syscall.Kill(masterOf(m.pid), syscall.SIGKILL)
		e := m.awaitFrom(mark, says("starting another"))
		mark = m.mark()
		if strings.Contains(e.Raw, "in 1.6s") || strings.Contains(e.Raw, "in 800ms") {
			break
		}
	}
	m.signal(syscall.SIGTERM)
	m.awaitFrom(mark, says("while no master lives"))
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// TestKeptHungMaster is ended by the watchdog, and another comes.
func TestKeptHungMaster(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneWorker, kept, withEnv("TINE_WATCHDOG=5s"))
	first, before := m.mustStatus().PID, m.workers("")
	l := m.steadily(4)
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.await(says("aborting it"))
	eventually.True(t, "another master serves", func() bool {
		st, err := m.status()
		return err == nil && st.PID != first && st.Apps[0].Ready == 1
	})
	if now := m.workers(""); !maps.Equal(now, before) {
		t.Errorf("workers are %v, were %v", now, before)
	}
	l.lossless(t)
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestKeptLogFormat: the keeper's lines are as those of the master.
func TestKeptLogFormat(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": `{"level":"info","keeper":`, "text": "keeper: master "} {
		m := startConfig(t, oneWorker, kept, withEnv("TINE_LOG_FORMAT="+format))
		if line := m.await(says("is ready after")); !strings.HasPrefix(line.Raw, want) {
			t.Errorf("%s: %s", format, line.Raw)
		}
		m.signal(syscall.SIGTERM)
		m.ended(0)
	}
}

// TestLongestStop: workers that have lost their master end before the system kills all processes.
func TestLongestStop(t *testing.T) {
	a := config.NewApp("web", "./server")
	a.DrainDelay, a.DrainTimeout, a.KillAfter = time.Second, 30*time.Second, 5*time.Second
	for limit, want := range map[time.Duration]time.Duration{
		0: 36 * time.Second, supervisor.StopTimeoutOff: 36 * time.Second, time.Minute: 36 * time.Second,
		10 * time.Second: 9 * time.Second, time.Second: time.Second / 2,
	} {
		if got := longestStop(&supervisor.Config{Apps: []supervisor.App{a}, StopTimeout: limit}); got != want {
			t.Errorf("with a limit of %s it is %s, want %s", limit, got, want)
		}
	}
}

// TestKeptInBackground: start prints the PID of the keeper, and stop waits for its end.
func TestKeptInBackground(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "TINE_KEEPER=on")
	write(t, sh.dir, "tine.yaml", webConfig)
	out, _ := sh.do(0, "start", "-c", "tine.yaml")
	st := sh.status()
	keeper := st.KeeperPID
	if keeper == 0 || keeper == st.PID || masterOf(keeper) != st.PID {
		t.Fatalf("master %d, keeper %d", st.PID, keeper)
	}
	has(t, out, fmt.Sprintf("web started: pid %d,", keeper), "2 of 2 ready on 127.0.0.1:")
	out, _ = sh.do(0, "status")
	has(t, out, fmt.Sprintf("pid %d (keeper %d)", st.PID, keeper))
	_, text := sh.do(1, "start", "tine.yaml")
	has(t, text, fmt.Sprintf("web runs already (pid %d,", keeper))
	if files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", keeper)); slices.ContainsFunc(files, isPipeOfStart) {
		t.Error("the keeper still has the pipe of tine start")
	}
	sh.do(0, "reload")
	sh.do(0, "stop")
	if !gone(keeper) || !gone(st.PID) {
		t.Error("stop has returned before the end")
	}
	if left := sh.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}

	sh = newShell(t, "TINE_KEEPER=on", "MEMBER_EXIT=3")
	write(t, sh.dir, "tine.yaml", webConfig)
	_, text = sh.do(70, "start", "-c", "tine.yaml")
	has(t, text, "web did not start: exit status 70", "no worker became ready")
	if left := sh.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// isPipeOfStart: of all pipes that a keeper can write to its own is open twice, and that of a start would be once. What this
// test has been given itself does not count.
func isPipeOfStart(path string) bool {
	link, _ := os.Readlink(path)
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&0o400 != 0 || !strings.HasPrefix(link, "pipe:") {
		return false
	}
	count := func(pattern string) (n int) {
		all, _ := filepath.Glob(pattern)
		for _, other := range all {
			if same, _ := os.Readlink(other); same == link {
				n++
			}
		}
		return n
	}
	return count(filepath.Dir(path)+"/*") == 1 && count("/proc/self/fd/*") == 0
}

// startAtGate begins a tine start whose workers wait at the gate, below a keeper.
func (sh *shell) startAtGate() (start *exec.Cmd, out, stderr *bytes.Buffer, gate string, keeper, master int) {
	sh.t.Helper()
	gate = fifo(sh.t, sh.dir, "gate")
	sh.env = append(sh.env, "TINE_KEEPER=on", "MEMBER_GATE="+gate)
	write(sh.t, sh.dir, "tine.yaml", webConfig)
	start, out, stderr = sh.command("start", "-c", "tine.yaml")
	if err := start.Start(); err != nil {
		sh.t.Fatal(err)
	}
	eventually.True(sh.t, "the master has started its workers", func() bool {
		for _, pid := range sh.processes() {
			if below := masterOf(pid); below != 0 && masterOf(below) == 0 && len(sh.processes()) == 5 { // else it is the start itself
				keeper, master = pid, below
			}
		}
		return master != 0
	})
	return start, out, stderr, gate, keeper, master
}

// TestKeptStartOutlivesACrash: a start that waits is told by the master after the one that has crashed.
func TestKeptStartOutlivesACrash(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	cmd, out, stderr, gate, keeper, first := sh.startAtGate()
	syscall.Kill(first, syscall.SIGKILL)
	eventually.True(t, "another master is there", func() bool { pid := masterOf(keeper); return pid != 0 && pid != first })
	openGate(t, gate)
	if code := sh.end(cmd.Wait()); code != 0 {
		t.Errorf("start has ended with %d: %s", code, stderr)
	}
	has(t, out.String(), fmt.Sprintf("pid %d,", keeper))
	sh.do(0, "stop", "--now")
}

// TestKeptStartOutlivesItsKeeper: a start that waits is told by the master below the next keeper, which it names.
func TestKeptStartOutlivesItsKeeper(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	cmd, out, stderr, gate, keeper, first := sh.startAtGate()
	syscall.Kill(keeper, syscall.SIGKILL)
	eventually.True(t, "the master is the keeper of another one", func() bool { return masterOf(first) != 0 })
	openGate(t, gate)
	if code := sh.end(cmd.Wait()); code != 0 {
		t.Errorf("start has ended with %d: %s", code, stderr)
	}
	has(t, out.String(), fmt.Sprintf("pid %d,", first), "2 of 2 ready")
	sh.do(0, "stop", "--now")
}

// TestKeptStartInterruptedWithoutItsKeeper: an interrupted start leaves nothing behind, also below the next keeper.
func TestKeptStartInterruptedWithoutItsKeeper(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	cmd, _, stderr, _, keeper, first := sh.startAtGate()
	syscall.Kill(keeper, syscall.SIGKILL)
	eventually.True(t, "the master is the keeper of another one", func() bool {
		cmd, _, _ := sh.command("status")
		return masterOf(first) != 0 && cmd.Run() == nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := sh.end(cmd.Wait()); code != term.ExitInterrupted {
		t.Errorf("exit status %d, want %d: %s", code, term.ExitInterrupted, stderr)
	}
	eventually.True(t, "no process is left", func() bool { return len(sh.processes()) == 0 })
}

const litterConfig = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
  litter:
    oneshot: true
    command: [/bin/sh, -c, 'i=0; while [ $i -lt 1000 ]; do (/bin/sh -c "exit 3" &); i=$((i+1)); done']
`

// zombiesOf counts the children that are dead and not reaped.
func zombiesOf(pid int) (n int) {
	for _, child := range childrenOf(pid) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if _, tail, _ := strings.Cut(string(stat), ") "); err == nil && strings.HasPrefix(tail, "Z") {
			n++
		}
	}
	return n
}

// TestKeptOrphans: a thousand processes without a parent leave no zombie, below a subreaper as below PID 1.
func TestKeptOrphans(t *testing.T) {
	t.Run("Subreaper", func(t *testing.T) {
		t.Parallel()
		m := startConfig(t, litterConfig, kept)
		m.await(func(e event) bool { return e.Message == "exited" && e.App == "litter" })
		eventually.True(t, "no zombie is left", func() bool { return zombiesOf(m.pid) == 0 && len(m.processes()) == 3 })
		m.signal(syscall.SIGTERM)
		m.ended(0)
	})
	t.Run("PID1", func(t *testing.T) {
		t.Parallel()
		m := startAsPID1(t, litterConfig)
		m.await(func(e event) bool { return e.Message == "exited" && e.App == "litter" })
		eventually.True(t, "no zombie is left", func() bool { return zombiesOf(m.pid) == 0 && len(m.processes()) == 4 }) // unshare too
		m.must("/")
		syscall.Kill(m.pid, syscall.SIGTERM)
		m.ended(0)
	})
}

// startAsPID1 starts tine run, without a word about a keeper, as the first process of a PID namespace; m.pid is what this
// namespace calls it.
func startAsPID1(t *testing.T, config string) *tine {
	t.Helper()
	m := startFirst(t, config, "auto")
	if masterOf(m.pid) == 0 {
		t.Fatalf("PID 1 is not a keeper: %v", childrenOf(m.pid))
	}
	return m
}

// startFirst is startAsPID1 with a word about a keeper.
func startFirst(t *testing.T, config, keeper string) *tine {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("unshare", "--pid", "--fork", "true").Run() != nil {
		t.Skip("SKIPPED: needs root and unshare, for a PID namespace")
	}
	dir := folder(t)
	write(t, dir, "tine.yaml", config)
	m := startProgram(t, dir, "unshare", []string{"--pid", "--fork", "--mount-proc", "--kill-child", tinePath, "run", "-c", "tine.yaml"}, withEnv("TINE_KEEPER="+keeper))
	m.await(is("all workers are ready"))
	children := childrenOf(m.pid)
	if len(children) != 1 {
		t.Fatalf("the first processes are %v, want one", children)
	}
	m.pid = children[0]
	return m
}

// TestUpgradeOfPID1: the master itself, with whose end the container would end.
func TestUpgradeOfPID1(t *testing.T) {
	t.Parallel()
	m := startFirst(t, oneWorker, "off")
	_, text := m.tell(1, "upgrade")
	has(t, text, "this master is PID 1")
	if st := m.mustStatus(); st.PID != 1 || st.Apps[0].Ready != 1 {
		t.Errorf("master %d, %d workers are ready", st.PID, st.Apps[0].Ready)
	}
	syscall.Kill(m.pid, syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestKeptPID1: signals and the exit code of a container's first process.
func TestKeptPID1(t *testing.T) {
	t.Parallel()
	m := startAsPID1(t, oneWorker)
	if st := m.mustStatus(); st.KeeperPID != 1 {
		t.Errorf("the status has keeper %d, want 1", st.KeeperPID)
	}
	mark := m.mark()
	syscall.Kill(m.pid, syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout done"))
	syscall.Kill(masterOf(m.pid), syscall.SIGKILL)
	m.await(says("starting another"))
	eventually.True(t, "another master has a ready worker", func() bool {
		st, err := m.status()
		return err == nil && st.Apps[0].Ready == 1
	})
	m.tell(0, "upgrade")
	mark = m.mark()
	syscall.Kill(m.pid, syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if e := m.awaitFrom(mark, is("stopping")); !strings.Contains(e.Raw, `"within_ms":10000`) {
		t.Errorf("after an upgrade a stop is not in the time that a container has: %s", e.Raw)
	}
}

// TestKeptSocketActivation: the socket that systemd's own tool has opened is served, the connection that made it start tine
// first, with a keeper and without, and by the next master too.
func TestKeptSocketActivation(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("SKIPPED: needs systemd-socket-activate")
	}
	for _, mode := range []string{"on", "off"} {
		for name, listen := range map[string]string{"Named": "listen: [\"$ADDRESS\"]", "All": ""} {
			t.Run(mode+name, func(t *testing.T) {
				t.Parallel()
				dir := folder(t)
				address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
				write(t, dir, "tine.yaml", strings.NewReplacer(`listen: ["127.0.0.1:0"]`, strings.Replace(listen, "$ADDRESS", address, 1)).Replace(twoWorkers))
				m := startProgram(t, dir, tool, []string{"--listen=" + address, "-E", "TINE_KEEPER", "-E", "TINE_CONTROL", "-E", "TINE_RUNTIME_DIR", "-E", "TINE_LOG_LEVEL",
					"-E", "MEMBER_CONTROL", "-E", "GORACE", tinePath, "run", "-c", "tine.yaml"}, withEnv("TINE_KEEPER="+mode))
				m.await(func(e event) bool { return strings.HasPrefix(e.Raw, "Listening on") })
				ask := func() (about, error) {
					text, err := fetch(fresh, "http://"+address+"/")
					if err != nil {
						return about{}, err
					}
					return parseAbout(t, text), nil
				}
				if _, err := ask(); err != nil {
					t.Fatalf("the connection that it was started for: %v", err)
				}
				m.await(is("all workers are ready"))
				if got := m.addresses("web"); !slices.Equal(got, []string{address}) {
					t.Errorf("it listens on %v, want %s", got, address)
				}
				seen := map[int]bool{}
				l := loadOn(address, 8)
				eventually.True(t, "both workers answer", func() bool {
					l.mu.Lock()
					defer l.mu.Unlock()
					for pid := range l.pids {
						seen[pid] = true
					}
					return len(seen) >= 2
				})
				mark := m.mark()
				m.signal(syscall.SIGUSR2)
				m.awaitFrom(mark, is("rollout done"))
				if failed := l.end(); len(failed) > 0 && !closedInADrain(failed) {
					t.Errorf("%d requests failed, the first: %v", len(failed), failed[0])
				}
				if mode == "on" {
					first := m.mustStatus().PID
					syscall.Kill(first, syscall.SIGKILL)
					eventually.True(t, "the next master serves the same socket", func() bool {
						st, err := m.status()
						return err == nil && st.PID != first && st.Apps[0].Ready == 2 && len(m.since(0, is("adopted the workers of the last master"))) == 1 && slices.Equal(st.Apps[0].Listen, []string{address})
					})
					if _, err := ask(); err != nil {
						t.Error(err)
					}
				}
				m.signal(syscall.SIGTERM)
				if code := m.wait(patience); code != 0 {
					t.Errorf("exit status %d", code)
				}
			})
		}
	}
}

// closedInADrain reports whether all failures are of kept-alive connections that a drain has closed. The drains of these tests
// are that short, and the socket has lost nothing.
func closedInADrain(failed []error) bool {
	for _, err := range failed {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
			return false
		}
	}
	return true
}

// TestKeeperCosts measures the memory and CPU of an idle keeper, of the program as it is shipped.
func TestKeeperCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds the program, not for -short")
	}
	t.Parallel()
	image, err := image()
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	write(t, dir, "tine.yaml", twoWorkers)
	m := startProgram(t, dir, filepath.Join(image, "bin/tine"), []string{"run", "-c", "tine.yaml"}, kept)
	m.await(is("all workers are ready"))
	const most = 6 << 20
	eventually.True(t, "the keeper takes less than 6 MB", func() bool { return residentOf(t, m.pid) < most })
	before := ticksOf(t, m.pid)
	rest := 3 * time.Second
	time.Sleep(rest) // the measurement: the keeper must not run
	used := ticksOf(t, m.pid) - before
	resident := residentOf(t, m.pid)
	t.Logf("the keeper takes %.1f MB, and %d ticks in %s", float64(resident)/1e6, used, rest)
	if used > 0 {
		t.Errorf("the keeper has used %d ticks in %s at rest", used, rest)
	}
	if resident >= most {
		t.Errorf("it takes %d bytes", resident)
	}
	first := m.mustStatus().PID
	began := time.Now()
	syscall.Kill(first, syscall.SIGKILL)
	eventually.True(t, "another master is there", func() bool { pid := masterOf(m.pid); return pid != 0 && pid != first })
	t.Logf("another master was there after %s", time.Since(began).Round(time.Millisecond))
	eventually.True(t, "it has ready workers", func() bool { st, err := m.status(); return err == nil && st.Apps[0].Ready == 2 })
	eventually.True(t, "the keeper takes less than 6 MB again", func() bool { return residentOf(t, m.pid) < most })
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func residentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// ticksOf are utime and stime of /proc/PID/stat, proc(5).
func ticksOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, tail, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(tail)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		t.Fatal(err)
	}
	return user + system
}

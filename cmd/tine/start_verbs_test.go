//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
	"golang.org/x/sys/unix"
)

// shell is where a person types commands: a folder with masters of its own.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

// newShell makes one whose processes are ended with the test.
func newShell(t *testing.T, env ...string) *shell {
	t.Helper()
	sh := &shell{t: t, dir: folder(t)}
	sh.env = append(append(os.Environ(), "MEMBER_CONTROL="+sh.dir, "XDG_STATE_HOME="+sh.dir, "TINE_CONTROL="+filepath.Join(sh.dir, "control")+"/", worldOf(sh.dir)), env...)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(sh.dir, "tine", "*.log"))
			for _, path := range logs {
				text, _ := os.ReadFile(path)
				t.Logf("%s:\n%s", path, text)
			}
		}
		(&tine{t: t, dir: sh.dir}).killAll()
	})
	return sh
}

func (sh *shell) processes() []int { return (&tine{dir: sh.dir}).processes() }

// command is not started yet.
func (sh *shell) command(args ...string) (cmd *exec.Cmd, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	cmd = exec.Command(tinePath, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = sh.dir, sh.env, out, err
	return cmd, out, err
}

// do runs tine and returns what it printed; its exit status must be code.
func (sh *shell) do(code int, args ...string) (out, err string) {
	sh.t.Helper()
	cmd, o, e := sh.command(args...)
	ended := sh.end(cmd.Run())
	sh.t.Logf("$ tine %s\n%s%s", strings.Join(args, " "), o, e)
	if ended != code {
		sh.t.Fatalf("tine %s: exit status %d, want %d", strings.Join(args, " "), ended, code)
	}
	return o.String(), e.String()
}

func (sh *shell) end(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		sh.t.Fatal(err)
	}
	return 0
}

func (sh *shell) status() (st api.Status) {
	sh.t.Helper()
	out, _ := sh.do(0, "status", "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		sh.t.Fatal(err)
	}
	return st
}

func pids(a api.App) map[int]bool {
	set := map[int]bool{}
	for _, w := range a.Workers {
		set[w.PID] = true
	}
	return set
}

func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in: %s", w, text)
		}
	}
}

const webConfig = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
`

// TestADay is what a person does: start, look, reload, scale, drain, look into the
// log, stop.
func TestADay(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "tine.yaml", webConfig)
	out, _ := sh.do(0, "start", "-c", "tine.yaml")
	has(t, out, "web started: pid ", "2 of 2 ready on 127.0.0.1:")
	st := sh.status()
	master, first := st.PID, foremost(st)
	has(t, out, fmt.Sprintf("web started: pid %d,", first))
	if sid, err := unix.Getsid(master); err != nil || sid != first {
		t.Errorf("the master's session is %d (%v), want its own: %d", sid, err, first)
	}
	if in, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", master)); err != nil || in != "/dev/null" {
		t.Errorf("the master's input is %s (%v)", in, err)
	}
	_, text := sh.do(1, "start", "tine.yaml")
	has(t, text, "web runs already (pid "+strconv.Itoa(first)+",", "tine reload -m web")

	before := pids(st.Apps[0])
	out, _ = sh.do(0, "reload", "--reason", "a test")
	has(t, out, "web/0 ", "web/1 ", "web reloaded")
	st = sh.status()
	if st.PID != master || st.Apps[0].Ready != 2 {
		t.Errorf("after the reload: %+v", st)
	}
	for pid := range pids(st.Apps[0]) {
		if before[pid] {
			t.Errorf("worker %d was not replaced", pid)
		}
	}
	sh.do(0, "scale", "+1")
	sh.do(0, "scale", "web", "-1")
	sh.do(0, "scale", "3")
	if a := sh.status().Apps[0]; a.Ready != 3 || len(a.Workers) != 3 {
		t.Errorf("after the scale: %+v", a)
	}
	sh.do(0, "drain", "1")
	out, _ = sh.do(0, "status")
	has(t, out, "drained")
	sh.do(0, "start", "web", "--slot", "1")
	sh.do(0, "restart", "web", "--slot", "0")
	sh.do(0, "signal", "CONT", "--slot", "2")
	out, _ = sh.do(0, "ls")
	has(t, out, "web", "3/3")
	out, _ = sh.do(0, "describe", "web")
	has(t, out, "3 of 3", "events")
	out, _ = sh.do(0, "events", "-n", "all")
	has(t, out, "rollout done")
	out, _ = sh.do(0, "logs", "-n", "all")
	has(t, out, "all workers are ready")

	sh.do(0, "cache", "set", "motd", "hello")
	out, _ = sh.do(0, "cache", "get", "motd")
	if out != "hello" {
		t.Errorf("the value is %q", out)
	}
	sh.do(0, "stop", "web")
	out, _ = sh.do(0, "status")
	has(t, out, "stopped")
	sh.do(0, "start", "web")

	sh.do(0, "stop")
	if !gone(master) || !gone(first) {
		t.Error("the master runs after stop has returned")
	}
	if left := sh.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	_, text = sh.do(term.ExitNotRunning, "status")
	has(t, text, "no tine is running")
}

// TestStartOfWhatDoesNotBecomeReady: the reason, the last words, the master's status.
func TestStartOfWhatDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "MEMBER_EXIT=3")
	write(t, sh.dir, "tine.yaml", webConfig)
	_, text := sh.do(70, "start", "-c", "tine.yaml")
	has(t, text, "web did not start: exit status 70", "no worker became ready")
	if left := sh.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	_, text = sh.do(1, "start", "-l", "127.0.0.1:0", "--", "/nothing/here")
	has(t, text, "/nothing/here", "no such file")
}

// TestStartInterrupted: an interrupted start leaves nothing behind.
func TestStartInterrupted(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.env = append(sh.env, "MEMBER_GATE="+fifo(t, sh.dir, "gate"))
	write(t, sh.dir, "tine.yaml", webConfig)
	cmd, _, stderr := sh.command("start", "-c", "tine.yaml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the master starts its workers", func() bool { return len(sh.processes()) == 1+aboveWorkersHere()+2 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := sh.end(cmd.Wait()); code != term.ExitInterrupted {
		t.Errorf("exit status %d, want %d: %s", code, term.ExitInterrupted, stderr)
	}
	if left := sh.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// TestStartThatTakesTooLong goes on in the background.
func TestStartThatTakesTooLong(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	gate := fifo(t, sh.dir, "gate")
	sh.env = append(sh.env, "MEMBER_GATE="+gate)
	write(t, sh.dir, "tine.yaml", webConfig)
	_, text := sh.do(1, "start", "-c", "tine.yaml", "--timeout", "100ms")
	has(t, text, "not ready after 100ms: it goes on in the background")
	openGate(t, gate)
	eventually.True(t, "the workers become ready", func() bool {
		cmd, out, _ := sh.command("status", "--json")
		return cmd.Run() == nil && strings.Contains(out.String(), `"ready": 2`)
	})
	sh.do(0, "stop", "--now")
}

// TestReloadThatFails: status 1, the new worker's last output, the old ones stay.
func TestReloadThatFails(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "worker.env", "MEMBER_MODE=good\n")
	write(t, sh.dir, "tine.yaml", strings.Replace(webConfig, "workers: 2", "workers: 2\n    env_file: [worker.env]", 1))
	sh.do(0, "start", "tine.yaml")
	before := pids(sh.status().Apps[0])
	write(t, sh.dir, "worker.env", "MEMBER_EXIT=3\n")
	out, text := sh.do(1, "reload")
	has(t, out, "told to exit at the start")
	has(t, text, "reload of app web aborted")
	for pid := range pids(sh.status().Apps[0]) {
		if !before[pid] {
			t.Errorf("worker %d is new", pid)
		}
	}
	sh.do(0, "stop")
}

// TestStartup: the unit of a master that runs has its command line.
func TestStartupOfWhatRuns(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.do(0, "start", "-l", "127.0.0.1:0", "-n", "1", "--name", "shop", "--drain-delay", "10ms", "--", memberPath, "an argument")
	out, _ := sh.do(0, "startup")
	dir, err := filepath.EvalSymlinks(sh.dir)
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "tine-shop.service", "WorkingDirectory="+dir+"\n", "--name=shop", "-- "+memberPath+` "an argument"`)
	sh.do(0, "stop", "-m", "shop")
}

// TestAnswerThatCannotBeWritten: a script that gets nothing is not told that this is all there is.
func TestAnswerThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "tine.yaml", webConfig)
	sh.do(0, "start", "-c", "tine.yaml")
	for _, verb := range []string{"ls", "status", "describe", "cache list", "config apply --dry-run", "events", "logs"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd, _, stderr := sh.command(strings.Fields(verb)...)
		cmd.Stdout = full
		if code := sh.end(cmd.Run()); code != term.ExitFailed {
			t.Errorf("tine %s: exit status %d, want %d", verb, code, term.ExitFailed)
		}
		has(t, stderr.String(), "no space left")
		full.Close()
	}
	sh.do(0, "stop", "--now")
}

//go:build linux

package main

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/eventually"
)

// lineOf waits for a line with these words.
func lineOf(t *testing.T, lines <-chan string, words string) string {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the stream ended without %q", words)
			}
			if strings.Contains(line, words) {
				return line
			}
		case <-late:
			t.Fatalf("no line with %q came", words)
		}
	}
}

// linesOf starts a command and reads what it prints; done is closed at the end of the output; do not wait before that for
// the command.
func linesOf(t *testing.T, cmd *exec.Cmd) (<-chan string, <-chan struct{}) {
	t.Helper()
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, done := make(chan string, 1024), make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines, done
}

// TestFollow: what happens is seen as it happens, and the end of tine is the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "tine.yaml", webConfig)
	sh.do(0, "start", "tine.yaml")
	follow := func(args ...string) (<-chan string, func() int) {
		cmd, _, stderr := sh.command(args...)
		lines, done := linesOf(t, cmd)
		return lines, func() int {
			<-done
			code := sh.end(cmd.Wait())
			has(t, stderr.String(), "tine has ended")
			return code
		}
	}
	events, eventsEnd := follow("events", "-f", "-n", "all")
	logs, logsEnd := follow("logs", "-f", "web", "-n", "all", "--stream", "master")
	lineOf(t, logs, "ready")
	lineOf(t, events, "ready") // both are there
	lineOf(t, events, "ready")
	pid := sh.status().Apps[0].Workers[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lineOf(t, events, "exited: pid "+strconv.Itoa(pid)+", by SIGKILL")
	lineOf(t, logs, "exited")
	lineOf(t, events, "ready")
	sh.do(0, "stop")
	if code := eventsEnd(); code != 0 {
		t.Errorf("events -f ended with %d", code)
	}
	if code := logsEnd(); code != 0 {
		t.Errorf("logs -f ended with %d", code)
	}
}

// TestReloadInterrupted: an interrupted command does not stop its order.
func TestReloadInterrupted(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	write(t, sh.dir, "worker.env", "MEMBER_MODE=old\n")
	write(t, sh.dir, "tine.yaml", strings.Replace(webConfig, "workers: 2", "workers: 2\n    env_file: [worker.env]", 1))
	sh.do(0, "start", "tine.yaml")
	gate := fifo(t, sh.dir, "gate")
	write(t, sh.dir, "worker.env", "MEMBER_GATE="+gate+"\n")
	cmd, _, stderr := sh.command("reload")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the reload begins", func() bool { return sh.status().Apps[0].Rollout != nil })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := sh.end(cmd.Wait()); code != term.ExitInterrupted {
		t.Errorf("exit status %d, want %d", code, term.ExitInterrupted)
	}
	has(t, stderr.String(), "the reload goes on without you")
	_, text := sh.do(1, "reload", "--refuse")
	has(t, text, "is being reloaded already")
	openGate(t, gate)
	eventually.True(t, "the reload is done", func() bool { return sh.status().Apps[0].Generation == 2 })
	sh.do(0, "stop")
}

// TestFollowGoesOn: over a crash of the master and an upgrade, with the output of the next one from its beginning.
func TestFollowGoesOn(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	follow := func(args ...string) (<-chan string, func() string) {
		cmd, _, stderr := m.command(args...)
		lines, done := linesOf(t, cmd)
		return lines, func() string {
			<-done
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", args, err)
			}
			return stderr.String()
		}
	}
	events, eventsEnd := follow("events", "-f")
	logs, logsEnd := follow("logs", "-f", "-n", "all")
	lineOf(t, events, "ready")
	lineOf(t, logs, "ready")
	st := m.mustStatus()
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lineOf(t, events, "restored")
	lineOf(t, logs, "adopted the workers")
	m.tell(0, "upgrade")
	lineOf(t, events, "upgraded")
	lineOf(t, logs, "upgraded")
	m.tell(0, "stop")
	for _, said := range []string{eventsEnd(), logsEnd()} {
		// A connection that was cut is made anew without a word.
		if n := strings.Count(said, " goes on\n"); n < 1 || n > 2 || !strings.HasSuffix(said, "tine has ended\n") {
			t.Errorf("it says %q", said)
		}
	}
}

//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// refused starts a master that cannot start: its error is one line that has all of
// these words, exits 1 within a second, and leaves nothing.
func refused(t *testing.T, args []string, words []string, opts ...option) {
	t.Helper()
	refusedWith(t, term.ExitFailed, args, words, opts...)
}

// refusedWith is refused with another exit status.
func refusedWith(t *testing.T, code int, args []string, words []string, opts ...option) {
	t.Helper()
	// These tests are not parallel, because of the second. But the machine may be busy
	// with something else: the best of five counts, and the second is longer by how much
	// the machine is slower than one that starts a process in 100 ms.
	var m *tine
	var second time.Duration
	for range 5 {
		began := time.Now()
		if err := exec.Command(tinePath, "version").Run(); err != nil {
			t.Fatal(err)
		}
		second = time.Duration(float64(time.Second) * max(1, time.Since(began).Seconds()/0.1))
		m = startIn(t, folder(t), args, opts...)
		m.ended(code)
		if m.took < second {
			break
		}
	}
	if m.took >= second {
		t.Errorf("it took %s to fail, want less than %s", m.took, second)
	}
	text := m.stderr()
	if n := strings.Count(text, "\n"); n != 1 {
		t.Errorf("%d lines instead of one: %s", n, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the message does not say %q: %s", w, text)
		}
	}
}

func TestAddressInUseByAnotherProgram(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	address := ln.Addr().String()
	refused(t, []string{"run", "-l", address, "--", memberPath},
		[]string{address, "address already in use by ", fmt.Sprintf("(PID %d)", os.Getpid())})
}

func TestAddressInUseByAnotherTine(t *testing.T) {
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
`)
	refused(t, []string{"run", "-l", m.address(), "-n", "2", "--", memberPath},
		[]string{m.address(), "address already in use by ", fmt.Sprintf("tine (PID %d)", m.master())})
	m.who()
	m.stop()
}

func TestAddressInUseUnixSocket(t *testing.T) {
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["unix:$DIR/web.sock"]
    workers: 1
    $FAST
`)
	refused(t, []string{"run", "-l", m.address(), "--", memberPath},
		[]string{m.address(), "in use by ", fmt.Sprintf("tine (PID %d)", m.master())})
	m.stop()
}

func TestNoRightToThePort(t *testing.T) {
	var opts []option
	if os.Getuid() == 0 {
		opts = append(opts, asUser(54321))
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		if n, _ := strconv.Atoi(strings.TrimSpace(string(b))); n <= 81 {
			t.Skip("SKIPPED: every user may listen on every port of this machine (ip_unprivileged_port_start)")
		}
	}
	refused(t, []string{"run", "-l", "127.0.0.1:81", "--", memberPath}, []string{"127.0.0.1:81", "permission denied"}, opts...)
}

func TestBadAddress(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		address string
		words   []string
	}{
		"PortTooLarge": {term.ExitUsage, ":99999", []string{"--listen: ", ":99999", "port"}},
		"NoPort":       {term.ExitUsage, "127.0.0.1", []string{"--listen: ", "127.0.0.1", "expected"}},
		"NotHere":      {term.ExitFailed, "192.0.2.1:7000", []string{"192.0.2.1:7000", "assign"}},
		"NoSuchHost":   {term.ExitFailed, "nowhere.invalid:7000", []string{"nowhere.invalid:7000"}},
		"NoFolder":     {term.ExitFailed, "unix:/nowhere/web.sock", []string{"/nowhere/web.sock", "folder /nowhere, make that first: no such file"}},
		"IPv6Open":     {term.ExitUsage, "[::1:7000", []string{"--listen: ", "[::1:7000", "expected"}},
	} {
		t.Run(name, func(t *testing.T) {
			refusedWith(t, c.code, []string{"run", "-l", c.address, "--", memberPath}, c.words)
		})
	}
}

func TestBadAddressAfterGoodOnes(t *testing.T) {
	port := freePort(t)
	good := fmt.Sprintf("127.0.0.1:%d", port)
	refused(t, []string{"run", "-l", good, "-l", "192.0.2.1:7000", "--", memberPath}, []string{"192.0.2.1:7000"})
	ln, err := net.Listen("tcp", good)
	if err != nil {
		t.Fatalf("the good address is still held: %v", err)
	}
	ln.Close()
}

func TestCommandMissingAtTheStart(t *testing.T) {
	dir := folder(t)
	plain := write(t, dir, "plain", "no program")
	for name, c := range map[string]struct {
		command string
		words   []string
	}{
		"Missing":       {dir + "/nothing", []string{dir + "/nothing", "no such file"}},
		"NotInPath":     {"no-such-program-anywhere", []string{"no-such-program-anywhere", "not found in PATH"}},
		"NotExecutable": {plain, []string{plain, "not executable"}},
		"Folder":        {dir, []string{dir, "is a folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, []string{"run", "-l", "127.0.0.1:0", "--", c.command}, c.words)
		})
	}
}

// TestCommandGoneInARollout: the old workers serve on, and when the program is back
// the next SIGUSR2 works as if nothing had been.
func TestCommandGoneInARollout(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	program := dir + "/program"
	copyMember(t, program)
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [./program]
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	before := m.workers("")
	l := m.load(4)
	for _, spoil := range []func() error{
		func() error { return os.Rename(program, program+".away") },
		func() error { return os.WriteFile(program, []byte("no program"), 0o644) },
		func() error { return os.Chmod(program, 0o755) }, // executable, and still no program
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		mark := m.mark()
		m.signal(syscall.SIGUSR2)
		e := m.awaitFrom(mark, is("rollout aborted"))
		if !strings.Contains(e.Reason, "program") {
			t.Errorf("the reason does not name the program: %s", e.Raw)
		}
	}
	if now := m.workers(""); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("workers %v, want the old ones %v", now, before)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	copyMember(t, program)
	m.roll()
	for slot, pid := range m.workers("") {
		if before[slot] == pid {
			t.Errorf("slot %d still has its old worker", slot)
		}
	}
	l.lossless(t)
	m.stop()
}

// copyMember makes the member's program also at another path. A link, since a process that
// writes a program while others fork can find it busy.
func copyMember(t *testing.T, path string) {
	t.Helper()
	if err := os.Link(memberPath, path); err != nil {
		t.Fatal(err)
	}
}

// TestNeverReadyGivesUp: five in a row, each after a longer wait, then status 70.
func TestNeverReadyGivesUp(t *testing.T) {
	t.Parallel()
	m := startConfig(t, `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_NEVER_READY: "1"}
    listen: ["127.0.0.1:0"]
    workers: 1
    ready_timeout: 100ms
    kill_after: 500ms
    backoff: {base: 20ms, max: 100ms}
`)
	m.ended(70)
	m.gaveUp(5, "ready timeout")
}

func TestExitWhileStartingGivesUp(t *testing.T) {
	t.Parallel()
	m := startConfig(t, `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_EXIT: "3"}
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
`)
	m.ended(70)
	m.gaveUp(5, "exited")
	e := m.await(is("exited"))
	if e.Code != 3 || e.LastWords != "told to exit at the start" {
		t.Errorf("the exit is told without its code or last words: %s", e.Raw)
	}
}

// gaveUp checks the story before status 70.
func (m *tine) gaveUp(failures int, each string) {
	m.t.Helper()
	if n := len(m.since(0, is(each))); n != failures {
		m.t.Errorf("%d times %q, want %d", n, each, failures)
	}
	last := 0.0
	for i, e := range m.since(0, is("backoff")) {
		if i > 0 && e.DelayMS < last*0.6 {
			m.t.Errorf("a shorter wait after a longer one: %v after %v ms", e.DelayMS, last)
		}
		last = e.DelayMS
	}
	if last == 0 {
		m.t.Error("there was no backoff")
	}
	if e := m.await(is("gave up")); e.Level != "error" || e.Failures != failures {
		m.t.Errorf("gave up without the number of failures: %s", e.Raw)
	}
}

// TestBadWorkerInARollout: the rollout stops with the first that fails, and the old
// workers stay.
func TestBadWorkerInARollout(t *testing.T) {
	for name, bad := range map[string]string{
		"NeverReady": "MEMBER_NEVER_READY=1",
		"Exits":      "MEMBER_EXIT=4",
		"ExitsZero":  "MEMBER_EXIT=0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			write(t, dir, "mode.env", "MEMBER_MODE=old\n")
			write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    env_file: [mode.env]
    listen: ["127.0.0.1:0"]
    workers: 2
    ready_timeout: 2s
    $CALM
`)
			m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
			m.await(is("all workers are ready"))
			before := m.workers("")
			l := m.load(4)
			write(t, dir, "mode.env", bad+"\nMEMBER_MODE=bad\n")
			mark := m.mark()
			m.signal(syscall.SIGUSR2)
			m.awaitFrom(mark, is("rollout aborted"))
			if n := len(m.since(mark, is("spawned"))); n != 1 {
				t.Errorf("%d workers of the bad kind were started, want 1", n)
			}
			if now := m.workers(""); fmt.Sprint(now) != fmt.Sprint(before) {
				t.Errorf("workers %v, want the old ones %v", now, before)
			}
			l.lossless(t)

			// A crash now gives the slot back what it had, not the bad kind.
			mark = m.mark()
			victim := before[0]
			syscall.Kill(victim, syscall.SIGKILL)
			again := m.awaitFrom(mark, is("ready"))
			if mode := m.mustAsk(again.PID, "/env?name=MEMBER_MODE"); mode != "old" {
				t.Errorf("after a crash the worker has mode %q", mode)
			}
			m.stop()
		})
	}
}

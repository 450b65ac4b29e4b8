package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

func script(text string) *execSource {
	return Exec([]string{"sh", "-c", text}, "", nil).(*execSource)
}

func TestExec(t *testing.T) {
	for _, c := range []struct{ name, script, want, err string }{
		{"prints", "echo 50", "50", ""},
		{"without a newline", "printf 50", "50", ""},
		{"two newlines", `printf 'a\n\n'`, "a\n", ""},
		{"nothing", "true", "", ""},
		{"zero", "echo 0", "0", ""},
		{"garbage", `printf '\000\377\r'`, "\x00\xff\r", ""},
		{"standard error is not a value", "echo noise >&2; echo 1", "1", ""},
		{"fails", "echo 5; echo >&2 first; echo >&2 'no such table'; echo >&2; exit 3", "", "sh failed: exit status 3: no such table"},
		{"dies", "kill -9 $$", "", "sh failed: signal: killed"},
		{"large", "head -c 1000000 /dev/zero | tr '\\0' x", strings.Repeat("x", 1000000), ""},
		{"no input", "cat", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, script(c.script), c.want, c.err) })
	}
}

func TestExecCannotStart(t *testing.T) {
	check(t, Exec([]string{"/no/such/program"}, "", nil), "", "cannot run /no/such/program")
	check(t, Exec(nil, "", nil), "", "it is empty")
	check(t, Exec([]string{"true"}, "/no/such/folder", nil), "", "no such file or directory")
}

func TestExecFolderAndEnvironment(t *testing.T) {
	t.Setenv("TINE_CHANNEL_FD", "3")
	t.Setenv("NOTIFY_SOCKET", "/x")
	t.Setenv("MAINPID", "1")
	t.Setenv("LISTEN_ADDRESS", ":1") // a program's own
	t.Setenv("SHARED", "master")
	t.Setenv("OTHER", "master")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := Exec([]string{"sh", "-c", "pwd; echo $SHARED $OTHER $TINE_CHANNEL_FD$NOTIFY_SOCKET$MAINPID$LISTEN_ADDRESS"}, dir, []string{"SHARED=own"})
	check(t, s, dir+"\nown master :1", "")
}

func TestExecInheritsNoDescriptors(t *testing.T) {
	const list = "ls /proc/self/fd | wc -l"
	// What the test itself was started with is passed on by any exec.
	want, err := exec.Command("sh", "-c", list).Output()
	if err != nil {
		t.Skip("no /proc")
	}
	check(t, script(list), strings.TrimSpace(string(want)), "")
}

func TestExecOverTheLimitIsKilledAndNamed(t *testing.T) {
	s := script("head -c 100000000 /dev/zero; sleep 1000")
	s.limit = 1 << 20
	started := time.Now()
	check(t, s, "", "sh printed more than the limit of 1 MiB")
	if d := time.Since(started); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
	s = script("printf 12345")
	s.limit = 4
	check(t, s, "", "more than the limit of 4 bytes")
	s.limit = 5
	check(t, s, "12345", "")
}

func TestExecDefaultLimit(t *testing.T) {
	check(t, script("head -c 100000000 /dev/zero"), "", "sh printed more than the limit of 64 MiB")
}

// TestExecTimeoutKillsTheWholeGroup waits for the end of a grandchild through a pipe that only it holds.
func TestExecTimeoutKillsTheWholeGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() {
		s := Exec([]string{"sh", "-c", "(echo $$ > " + fifo + "; sleep 1000) & echo stuck >&2; sleep 1000"}, "", nil)
		_, err := s.Fetch(ctx)
		failed <- err
	}()
	// The group is up once its grandchild has written.
	line, err := bufio.NewReader(held).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	cancel(timedOut{2 * time.Second})
	select {
	case err = <-failed:
	case <-time.After(20 * time.Second):
		t.Fatal("the fetch does not return")
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "sh was killed: no answer within 2s") {
		t.Errorf("the error is %v", err)
	}
	waitGone(t, -pid)
}

func TestExecLeavesNoGrandchildBehindWhenItExits(t *testing.T) {
	s := script("sleep 1000 & echo $$")
	started := time.Now()
	p, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(text(t, p))
	waitGone(t, -pid)
	if d := time.Since(started); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
}

// waitGone waits until nothing answers to a process or group. It may take a moment until init reaps one that was killed.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	eventually.True(t, fmt.Sprintf("group %d has ended", -pid), func() bool {
		return syscall.Kill(pid, 0) != nil || onlyZombies(-pid)
	})
}

// onlyZombies reports whether all of a group have ended, though they are not reaped yet.
func onlyZombies(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return false
		}
	}
	return len(stats) > 0
}

func TestExecDoesNotWaitForADaemonThatHoldsItsOutput(t *testing.T) {
	if _, err := os.Stat("/usr/bin/setsid"); err != nil {
		t.Skip("no setsid")
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	started := time.Now()
	// It leaves the group, which is right for a daemon: it stays alive, but no value waits for it.
	check(t, script("setsid sh -c 'echo $$ > "+pidFile+"; exec sleep 30' & while [ ! -s "+pidFile+" ]; do sleep 0.01; done; echo 7"), "7", "")
	if d := time.Since(started); d > 15*time.Second {
		t.Errorf("took %s", d)
	}
	b, _ := os.ReadFile(pidFile)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestExecLeaksNeitherDescriptorsNorChildren(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc")
		}
		return len(entries)
	}
	script("echo warm").Fetch(t.Context())
	before := count()
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		script("sleep 1000").Fetch(ctx)
		cancel()
		if p, err := script("head -c 100000 /dev/zero").Fetch(t.Context()); err == nil {
			p.Release()
		}
		Exec([]string{"/no/such"}, "", nil).Fetch(t.Context())
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	// Every child of the test's own was waited for. As PID 1 of a container the test gets orphans too, which are not its own.
	if os.Getpid() == 1 {
		return
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("wait found child %d, %v", pid, err)
	}
}

func TestTrimmed(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "\n": "", "\r\n": "", "\r": "\r", "a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a\nb": "a\nb",
		"\r\r\n": "\r", "a\r\nb\r": "a\r\nb\r", "\n\r": "\n\r", "\n\r\n": "\n",
		strings.Repeat("\n", 40000): strings.Repeat("\n", 39999),
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(&trimmed{from: wrap(strings.NewReader(in))})
			if err != nil || string(got) != want {
				t.Errorf("%s: %.20q became %.20q, %v", name, in, got, err)
			}
			got, err = io.ReadAll(iotest.OneByteReader(&trimmed{from: wrap(strings.NewReader(in))}))
			if err != nil || string(got) != want {
				t.Errorf("%s, into one byte: %.20q became %.20q, %v", name, in, got, err)
			}
		}
	}
}

func TestTail(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a\n": "a", "a\nb": "b", "a\n\n\n": "a", "a\x1b[1mb\n": "a[1mb", "\xff\n": "?",
		strings.Repeat("x", 10000): strings.Repeat("x", 300),
	} {
		if got := tail(strings.NewReader(in)); got != want {
			t.Errorf("%.20q: got %q", in, got)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	s := Exec([]string{"true"}, "", nil)
	for b.Loop() {
		p, err := s.Fetch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}

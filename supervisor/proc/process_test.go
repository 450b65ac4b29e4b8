package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestExitCodesAndSignals(t *testing.T) {
	for _, c := range []struct {
		script string
		code   int
		signal syscall.Signal
		text   string
	}{
		{"exit 0", 0, 0, "exit code 0"},
		{"exit 3", 3, 0, "exit code 3"},
		{"exit 255", 255, 0, "exit code 255"},
		{"kill -TERM $$", -1, syscall.SIGTERM, "signal terminated"},
		{"kill -KILL $$", -1, syscall.SIGKILL, "signal killed"},
		{"kill -SEGV $$", -1, syscall.SIGSEGV, "signal segmentation fault"},
	} {
		e := exitOf(t, mustStart(t, shell(t, c.script), Options{}))
		if e.Code != c.code || e.Signal != c.signal || e.String() != c.text {
			t.Errorf("%s: got code %d, signal %d, %q; want %d, %d, %q", c.script, e.Code, e.Signal, e, c.code, c.signal, c.text)
		}
	}
}

func TestTerminateAndKill(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Process) error
		want syscall.Signal
	}{{"Terminate", (*Process).Terminate, syscall.SIGTERM}, {"Kill", (*Process).Kill, syscall.SIGKILL}} {
		out := newCollected()
		p := mustStart(t, shell(t, "echo up; sleep 1000 & wait"), Options{Stdout: out.line})
		out.wait(t, "up")
		if err := c.do(p); err != nil {
			t.Fatal(err)
		}
		if e := exitOf(t, p); e.Signal != c.want {
			t.Errorf("%s: %s, want signal %s", c.name, e, c.want)
		}
		if err := c.do(p); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s after the exit: %v, want %v", c.name, err, os.ErrProcessDone)
		}
	}
}

func TestStoppedProcessIsKilled(t *testing.T) {
	p := mustStart(t, shell(t, "kill -STOP $$"), Options{})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if e := exitOf(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("%s, want signal killed", e)
	}
}

func TestGrandchildIsKilledWithItsGroup(t *testing.T) {
	for name, end := range map[string]string{"leader exits": "exit 0", "leader crashes": "kill -KILL $$", "leader fails": "exit 7"} {
		t.Run(name, func(t *testing.T) {
			out := newCollected()
			// The grandchild ignores what can be ignored, and keeps the pipes.
			p := mustStart(t, shell(t, "(trap '' TERM HUP INT; echo up; exec sleep 1000) & echo pid $!; "+end), Options{Stdout: out.line, Stderr: out.line})
			pid, err := strconv.Atoi(out.wait(t, "pid "))
			if err != nil {
				t.Fatal(err)
			}
			exitOf(t, p)
			gone(t, pid)
		})
	}
}

// A grandchild that has left the group cannot keep the output open for longer than the grace.
func TestOutputEndsAlthoughTheDaemonHoldsIt(t *testing.T) {
	out := newCollected()
	p := mustStart(t, shell(t, "setsid sh -c 'echo pid $$; exec sleep 1000' & while ! test -e /proc/$!/stat; do :; done; sleep 0.2; exit 4"), Options{Stdout: out.line, Stderr: out.line})
	pid, err := strconv.Atoi(out.wait(t, "pid "))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	eventually.Receive(t, "the exit", p.Exited())
	at := time.Now()
	select {
	case <-p.OutputDone():
		t.Error("OutputDone came at once: the daemon did not hold the pipe, or the test shows nothing")
	default:
	}
	eventually.Receive(t, "the end of the output", p.OutputDone())
	if took := time.Since(at); took < OutputGrace/2 || took > OutputGrace+eventually.Patience()/2 {
		t.Errorf("the output ended %s after the exit, want about %s", took, OutputGrace)
	}
	if !alive(pid) {
		t.Error("the daemon is gone: the test shows nothing")
	}
}

func TestDescriptorsOfTheChild(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	out := newCollected()
	p := mustStart(t, child(t, "fds"), Options{Files: []*os.File{w, r}, Stdout: out.line, Stderr: out.line})
	if e := exitOf(t, p); e.Code != 0 {
		t.Fatal(e, out.all())
	}
	got := strings.Join(out.all(), "\n")
	want := []string{"fd 0 /dev/null", "fd 1 pipe:", "fd 2 pipe:", "fd 3 pipe:", "fd 4 pipe:"}
	lines := out.all()
	if len(lines) != len(want) {
		t.Fatalf("the child has\n%s\nwant %d descriptors", got, len(want))
	}
	for i, prefix := range want {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("the child has %q, want %q", lines[i], prefix)
		}
	}
	// They are still usable here, in the mode they had.
	if _, err := w.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(eventually.Patience())); err != nil {
		t.Errorf("the file has left the poller: %v", err)
	}
	if n, err := r.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestNothingInheritedLeaksIntoTheChild(t *testing.T) {
	got := again(t, "inherit", nil)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 3 || strings.Contains(got, "passwd") {
		t.Errorf("the child has\n%s\nwant 0, 1, 2", got)
	}
}

func TestChildHasDefaultSignals(t *testing.T) {
	out := newCollected()
	p := mustStart(t, child(t, "signals"), Options{Stdout: out.line})
	exitOf(t, p)
	for _, mask := range []string{"SigBlk:", "SigIgn:"} {
		// Real-time signals of the C library (bits 31, 32) aside, nothing is blocked or ignored.
		n, err := strconv.ParseUint(strings.TrimSpace(out.wait(t, mask)), 16, 64)
		if own := ownMask(t, mask); err != nil || n&^own&^(3<<31) != 0 {
			t.Errorf("%s %x, %v; want no more than this process has, %x", mask, n, err, own)
		}
	}
}

func ownMask(t *testing.T, name string) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/self/status", name)
	return 0
}

func TestManyChildrenCostNoThreads(t *testing.T) {
	const n = 200
	before := threads(t)
	var ps []*Process
	for range n {
		ps = append(ps, mustStart(t, shell(t, "exec sleep 1000"), Options{Stdout: func([]byte, bool) {}, Stderr: func([]byte, bool) {}}))
	}
	if grown := threads(t) - before; grown > 20 {
		t.Errorf("%d children have cost %d threads", n, grown)
	}
	at := time.Now()
	for _, p := range ps {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	}
	for _, p := range ps {
		exitOf(t, p)
	}
	t.Logf("%d children killed and reaped in %s; threads %d, before %d", n, time.Since(at), threads(t), before)
}

func threads(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), "Threads:")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Signals that race with the exit reach the group or say that it is done; the race detector and the pid of a stranger
// are the judges.
func TestSignalsRaceWithTheExit(t *testing.T) {
	for range 20 {
		p := mustStart(t, shell(t, "exit 0"), Options{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					err := p.Terminate()
					if errors.Is(err, os.ErrProcessDone) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					runtime.Gosched()
				}
			})
		}
		all.Wait()
		exitOf(t, p)
	}
}

// Without a pidfd, as before Linux 5.4, the same holds at the price of a thread.
func TestWaitWithoutPidfd(t *testing.T) {
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 6"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess()
	p.pid = pid
	p.run()
	if e := exitOf(t, p); e.Code != 6 {
		t.Errorf("%s, want exit code 6", e)
	}
}

func TestExitThatSomebodyElseReaped(t *testing.T) {
	p := mustStart(t, shell(t, "exec sleep 1000"), Options{})
	syscall.Kill(p.PID(), syscall.SIGKILL)
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.PID(), &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	exitOf(t, p) // it comes, whichever call was first
}

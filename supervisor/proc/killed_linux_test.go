package proc

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestKilled(t *testing.T) {
	for _, c := range []struct {
		name, end string
		want      bool
	}{
		{"SIGKILL", "kill -KILL $$", true},
		{"SIGTERM", "kill -TERM $$", false},
		{"exit code 9", "exit 9", false},
		{"exit code 0", "exit 0", false},
	} {
		out := newCollected()
		p := mustStart(t, shell(t, "echo up; "+c.end), Options{Stdout: out.line})
		out.wait(t, "up")
		exitOf(t, p)
		e, killed := p.Killed()
		if killed != c.want {
			t.Errorf("%s: killed is %t", c.name, killed)
		}
		if killed && (e.Signal != syscall.SIGKILL || e.Code != -1 || e.LastLine != "up") {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

// TestStatOfAProcessThatIsReaped: between the opening of the file and its reading the process may go.
func TestStatOfAProcessThatIsReaped(t *testing.T) {
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stat, err := os.Open("/proc/" + strconv.Itoa(c.Process.Pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	defer stat.Close()
	in.Close()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(stat); err == nil {
		t.Errorf("a process that is gone says %q", text)
	}
}

// TestKilledBeforeItsExit asks as soon as the signal is sent: what stands is true already, whether its exit has been
// noticed or not. A process that runs, or is only stopped, is not killed.
func TestKilledBeforeItsExit(t *testing.T) {
	out := newCollected()
	p := mustStart(t, shell(t, "sleep 1000 & echo child $!; echo up; wait"), Options{Stdout: out.line})
	child, err := strconv.Atoi(out.wait(t, "child "))
	if err != nil {
		t.Fatal(err)
	}
	out.wait(t, "up")
	if _, killed := p.Killed(); killed {
		t.Error("killed while it runs")
	}
	suspended := make(chan struct{})
	closed := sync.OnceFunc(func() { close(suspended) })
	suspensions.add(p, func(bool) { closed() }) // the first it hears is this: it hears of changes only
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually.Receive(t, "the suspension", suspended)
	if _, killed := p.Killed(); killed {
		t.Error("killed while it is stopped")
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil { // the leader alone
		t.Fatal(err)
	}
	// Kernels before 6.1 know it a moment later.
	eventually.True(t, "killed is told", func() bool {
		e, killed := p.Killed()
		if killed && e.Signal != syscall.SIGKILL {
			t.Errorf("%+v", e)
		}
		return killed
	})
	exitOf(t, p)
	gone(t, child)
}

func TestWaitStatus(t *testing.T) {
	numbers := strings.Repeat(" 1", 48)
	for _, c := range []struct {
		stat string
		want syscall.WaitStatus
		ok   bool
	}{
		{"7 (worker) Z" + numbers + " 9\n", 9, true},
		{"7 (a) b) R 3 (c) Z" + numbers + " 512\n", 512, true},
		{"7 (worker) Z" + numbers + "\n", 0, false},
		{"7 (worker) Z" + numbers + " x\n", 0, false},
		{"", 0, false},
	} {
		if got, ok := waitStatus([]byte(c.stat)); got != c.want || ok != c.ok {
			t.Errorf("%q: %d, %t; want %d, %t", c.stat, got, ok, c.want, c.ok)
		}
	}
}

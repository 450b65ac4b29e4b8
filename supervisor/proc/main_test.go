package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/ipc/eventually"
)

const (
	// roleKey makes the test binary play a worker instead of running tests.
	roleKey = "PROC_TEST_ROLE"
	// atOnce is how a worker with the race detector ends, which otherwise sleeps for a second first.
	atOnce = "GORACE=atexit_sleep_ms=0"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		play(role)
	}
	goleak.VerifyTestMain(m)
}

// child is a Command that plays a role, with the environment it needs and env besides.
func child(t testing.TB, role string, args ...string) Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Resolve(Spec{Command: append([]string{exe}, args...), Env: []string{roleKey + "=" + role, atOnce, "PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shell(t testing.TB, script string) Command {
	t.Helper()
	c, err := Resolve(Spec{Command: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// collected collects lines and lets a test wait for one.
type collected struct {
	mu    sync.Mutex
	lines []string
	parts []bool // more, of each line
	came  chan struct{}
}

func newCollected() *collected { return &collected{came: make(chan struct{}, 1)} }

func (o *collected) line(line []byte, more bool) {
	o.mu.Lock()
	o.lines = append(o.lines, string(line))
	o.parts = append(o.parts, more)
	o.mu.Unlock()
	select {
	case o.came <- struct{}{}:
	default:
	}
}

func (o *collected) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// wait returns the first line with the prefix, without it.
func (o *collected) wait(t testing.TB, prefix string) string {
	t.Helper()
	timeout := time.After(eventually.Patience())
	for {
		for _, l := range o.all() {
			if rest, ok := strings.CutPrefix(l, prefix); ok {
				return rest
			}
		}
		select {
		case <-o.came:
		case <-timeout:
			t.Fatalf("no line %q within %s; got %q", prefix, eventually.Patience(), o.all())
		}
	}
}

// mustStart starts c, and kills and awaits it at the end of the test.
func mustStart(t testing.TB, c Command, o Options) *Process {
	t.Helper()
	p, err := Start(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		eventually.Receive(t, "the exit", p.Exited())
		eventually.Receive(t, "the end of the output", p.OutputDone())
	})
	return p
}

func exitOf(t testing.TB, p *Process) Exit {
	t.Helper()
	eventually.Receive(t, "the exit", p.Exited())
	eventually.Receive(t, "the end of the output", p.OutputDone())
	return p.Exit()
}

// gone waits until a process that is not our child has ended; a zombie that its new parent has not reaped counts.
func gone(t testing.TB, pid int) {
	t.Helper()
	eventually.True(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !alive(pid) })
}

func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// again runs the test binary in a role, as a process of os/exec with changes by prepare, and fails with what it prints.
func again(t *testing.T, role string, prepare func(*exec.Cmd)) string {
	t.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	defer exe.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3") // another user may not be able to walk to the path
	cmd.Env = []string{roleKey + "=" + role, atOnce, "GOMAXPROCS=2"}
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Dir = "/"
	if prepare != nil {
		prepare(cmd)
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("role %s: %v\n%s", role, err, text)
	}
	return string(text)
}

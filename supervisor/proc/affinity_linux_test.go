package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProcessIsBoundToItsCPU(t *testing.T) {
	cpu := firstCPU(t)
	allowed := func(cpus ...int) string {
		lines := make(chan string, 64)
		p, err := Start(Command{Path: "/bin/cat", Args: []string{"cat", "/proc/self/status"}, Env: os.Environ()},
			Options{CPUs: cpus, Stdout: func(line []byte, _ bool) { lines <- string(line) }})
		if err != nil {
			t.Fatal(err)
		}
		<-p.OutputDone()
		close(lines)
		for line := range lines {
			if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				return strings.TrimSpace(list)
			}
		}
		t.Fatal("the process did not say where it may run")
		return ""
	}
	free := allowed()
	if got, want := allowed(cpu), strconv.Itoa(cpu); got != want {
		t.Errorf("bound to CPU %s, it may run on %s", want, got)
	}
	if got := allowed(1 << 20); got != free {
		t.Errorf("a CPU that does not exist: it may run on %s instead of %s", got, free)
	}
	if got := allowed(); got != free {
		t.Errorf("the next process may run on %s instead of %s: the caller stayed bound", got, free)
	}
}

func firstCPU(t *testing.T) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 8 * len(set) * 8 {
		if set.IsSet(cpu) {
			return cpu
		}
	}
	t.Fatal("no CPU is allowed")
	return 0
}

// Every thread is bound, those that exist and those that come while it is done and after.
func TestBindARunningProcess(t *testing.T) {
	cpu := firstCPU(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := newCollected()
	p := mustStart(t, child(t, "threads"), Options{Files: []*os.File{r}, Stdout: out.line})
	r.Close()
	out.wait(t, "some") // and it goes on making them
	if err := p.Bind(nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Bind([]int{cpu}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	out.wait(t, "all")
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
	if err != nil || len(statuses) < 20 {
		t.Fatalf("%d threads, %v: the test shows nothing", len(statuses), err)
	}
	for _, path := range statuses {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), "Cpus_allowed_list:")
		list, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		if list != strconv.Itoa(cpu) {
			t.Errorf("%s: bound to %s, want %d", path, list, cpu)
		}
	}
}

func TestBindWhatCannotBeBound(t *testing.T) {
	p := mustStart(t, shell(t, "exec sleep 1000"), Options{})
	if err := p.Bind([]int{1 << 20}); err == nil || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "[1048576]") {
		t.Errorf("a CPU that does not exist: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	exitOf(t, p)
	if err := p.Bind([]int{0}); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v after the exit, want %v", err, os.ErrProcessDone)
	}
	if err := p.Bind(nil); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

package proc

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProcessIsBoundToItsCPU(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !before.IsSet(cpu) {
		cpu++
	}
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

package master

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
)

// descriptorsOf counts the open files of a process.
func descriptorsOf(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// manyJobs is a config of n one-shot apps that run until they are told to end, and of a native worker that listens nowhere.
func manyJobs(n int) string {
	var b strings.Builder
	b.WriteString("name: test\nlog: {format: json, level: debug}\napps:\n")
	b.WriteString("  quiet: {command: [PROGRAM], env: {TEST_BEHAVIOUR: HOW, GOMAXPROCS: \"1\"}, workers: 1, drain_delay: 10ms}\n")
	for i := range n {
		fmt.Fprintf(&b, "  job%d: {command: [sleep, '1000'], oneshot: true}\n", i)
	}
	return b.String()
}

// workersOf are the workers of all apps by app and slot.
func workersOf(st api.Status) map[string]int {
	pids := map[string]int{}
	for _, a := range st.Apps {
		for _, w := range a.Workers {
			pids[fmt.Sprint(a.Name, "/", w.Slot)] = w.PID
		}
	}
	return pids
}

func allHaveProcesses(st api.Status) bool {
	for _, pid := range workersOf(st) {
		if pid == 0 {
			return false
		}
	}
	return len(st.Apps) > 0
}

// What a worker that does not listen costs: its channel, its lifeline, its pidfd and its two streams. It is adopted with that.
func TestDescriptorsOfWorkersThatDoNotListen(t *testing.T) {
	const more = 20
	count := func(n int) (master, keeper int) {
		m := startKept(t, manyJobs(n))
		st := m.await("all processes", allHaveProcesses)
		// What the keeper does not have yet would be lost with the master: it has all when nothing more comes for a while.
		last, same := 0, 0
		eventually.True(t, "the keeper has all", func() bool {
			if now := descriptorsOf(t, m.keeper.Process.Pid); now != last {
				last, same = now, 0
			}
			same++
			return same == 200
		})
		master, keeper = descriptorsOf(t, st.PID), descriptorsOf(t, m.keeper.Process.Pid)
		if st.Steering != api.SteeringNone {
			t.Errorf("steering is %q where nobody listens", st.Steering)
		}
		now, _ := m.crash(st)
		m.await("the same workers below another master", func(st api.Status) bool {
			return maps.Equal(workersOf(st), workersOf(now)) && st.PID != 0 && allHaveProcesses(st)
		})
		if !maps.Equal(workersOf(st), workersOf(now)) {
			t.Errorf("a crash has changed the workers from %v to %v", workersOf(st), workersOf(now))
		}
		quiet := now.Apps[slices.IndexFunc(now.Apps, func(a api.App) bool { return a.Name == "quiet" })]
		if quiet.Ready != 1 {
			t.Errorf("after the crash %+v", quiet)
		}
		_ = m.keeper.Process.Signal(syscall.SIGTERM)
		m.ended <- <-m.ended
		return master, keeper
	}
	masterOfFew, keeperOfFew := count(1)
	master, keeper := count(1 + more)
	if n := (master - masterOfFew + more/2) / more; n > 5 {
		t.Errorf("%d descriptors in the master for each worker: %d with 1, %d with %d", n, masterOfFew, master, 1+more)
	}
	if n := (keeper - keeperOfFew + more/2) / more; n > handle.FilesOfWorker {
		t.Errorf("%d descriptors in the keeper for each worker: %d with 1, %d with %d", n, keeperOfFew, keeper, 1+more)
	}
}

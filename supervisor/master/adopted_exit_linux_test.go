package master

import (
	"os"
	"syscall"
	"testing"
	_ "unsafe" // for the name of a variable

	"github.com/tinehq/tine/supervisor/control/api"
)

//go:linkname exitStatus github.com/tinehq/tine/supervisor/proc.exitStatus
var exitStatus func(pidfd int) (status syscall.WaitStatus, known bool)

// oldKernel has the master be on one that does not tell how a process has ended.
const oldKernel = "TEST_OLD_KERNEL"

func playOldKernel() {
	if os.Getenv(oldKernel) != "" {
		exitStatus = func(int) (syscall.WaitStatus, bool) { return 0, false }
	}
}

// How a worker has ended that an earlier master has started is known from the keeper, where the kernel does not say it: both
// of one that ends now and of one that has ended while no master lived.
func TestExitOfAdoptedWorker(t *testing.T) {
	t.Setenv(oldKernel, "1")
	m := startKept(t, keptConfig)
	st, _ := m.crash(m.await("ready", allAppsReady))
	victim := onlyApp(st).Workers[1]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := func(slot, pid int) func(api.Status) bool {
		return func(st api.Status) bool {
			w := onlyApp(st).Workers
			return allAppsReady(st) && w[slot].PID != pid && w[slot].LastExit == "SIGKILL"
		}
	}
	st = m.await("the end of a worker is known", killed(1, victim.PID))

	victim = onlyApp(st).Workers[0]
	freeze(t, st.PID)
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.crash(st)
	m.await("the end of a worker without a master is known", killed(0, victim.PID))
}

package master

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"golang.org/x/sys/unix"
)

// TestUpgradeWhileAWorkerIsStarted: who is about to be started is unknown to any other master, so that the upgrade is
// refused. The workers that there are go on talking to the one that they have.
func TestUpgradeWhileAWorkerIsStarted(t *testing.T) {
	m := startKept(t, keptConfig+`
    hooks: {before_start: {command: [sh, -c, "while [ -e HOW-hold ]; do sleep 0.05; done"], timeout: 1m}}
`)
	st := m.await("ready", allAppsReady)
	before := pids(onlyApp(st))
	hold := m.dir + "/behaviour-hold"
	for _, name := range []string{hold, m.dir + "/binary"} {
		if err := os.WriteFile(name, []byte(os.Args[0]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rolled := make(chan error, 1)
	go func() { rolled <- m.do(api.Order{Verb: api.VerbReload, App: "web"}) }()
	m.await("a rollout", func(st api.Status) bool { return onlyApp(st).Rollout != nil })
	if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
		t.Fatal(err)
	}
	m.await("a refusal", func(api.Status) bool {
		return strings.Contains(m.log.String(), "workers have been about to be started for")
	})
	epoch, err := m.client.SetValue(bounded(t), "key", []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	m.await("the value with all workers of before", func(st api.Status) bool {
		have := 0
		for _, w := range onlyApp(st).Workers {
			for _, pid := range before {
				if w.PID == pid && w.Epoch >= epoch {
					have++
				}
			}
		}
		return have == len(before)
	})
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-rolled; err != nil {
		t.Error(err)
	}
}

// TestUpgradeWhileTheKeeperIsStopped: what is to be stored of a worker waits for a keeper that takes nothing. The upgrade is refused,
// and says what it waits for.
func TestUpgradeWhileTheKeeperIsStopped(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	if err := os.WriteFile(m.dir+"/binary", []byte(os.Args[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	freeze(t, st.KeeperPID)
	goOn := func() { _ = syscall.Kill(st.KeeperPID, syscall.SIGCONT) }
	t.Cleanup(goOn)
	m.await("a keeper that is stopped", func(api.Status) bool { // until then it reads what is sent to it
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", st.KeeperPID))
		_, state, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(state, "T")
	})
	fillQueue(t, st.PID)
	rolled := make(chan error, 1)
	go func() { rolled <- m.do(api.Order{Verb: api.VerbReload, App: "web"}) }()
	m.await("a worker that is started", func(st api.Status) bool {
		return onlyApp(st).Rollout != nil && slices.ContainsFunc(onlyApp(st).Workers, func(w api.Worker) bool { return w.PID == 0 })
	})
	if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
		t.Fatal(err)
	}
	m.await("a refusal", func(api.Status) bool {
		return strings.Contains(m.log.String(), "workers have been about to be started for 1s: the keeper, which takes the files of 1 of them")
	})
	if strings.Contains(m.log.String(), "hook before_start") {
		t.Error("a hook is blamed")
	}
	goOn()
	<-rolled // whether the worker has waited for so long does not matter here
	m.await("all is well again", allAppsReady)
}

// fillQueue sends to the socket on which the keeper of a master listens until that takes no more.
func fillQueue(t *testing.T, master int) {
	t.Helper()
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", master))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut("\x00"+string(env), "\x00NOTIFY_SOCKET=")
	name, _, _ := strings.Cut(rest, "\x00")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil {
		err = unix.Sendto(fd, []byte("X_FILLS=1"), 0, &unix.SockaddrUnix{Name: name})
	}
	if err != unix.EAGAIN {
		t.Fatalf("cannot send to %q: %v", name, err)
	}
}

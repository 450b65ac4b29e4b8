package signals

import (
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestWatch: each signal is one call of what it means, and a reload that hangs holds up no order.
func TestWatch(t *testing.T) {
	reloads, reopens, orders := make(chan struct{}), make(chan struct{}, 8), make(chan syscall.Signal, 8)
	hang := make(chan struct{})
	stop := Watch(Handlers{
		Reload: func() { reloads <- struct{}{}; <-hang },
		Reopen: func() { reopens <- struct{}{} },
		Order:  func(s syscall.Signal) { orders <- s },
	})
	send := func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGHUP)
	eventually.Receive(t, "the reload", reloads)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU} {
		send(sig)
		if got := eventually.Receive(t, sig.String(), orders); got != sig {
			t.Errorf("%v became %v", sig, got)
		}
	}
	send(syscall.SIGUSR1)
	eventually.Receive(t, "the reopening", reopens)
	close(hang)
	stop()
}

// TestWatchUpgrade: the chosen signal upgrades, and 0 is none.
func TestWatchUpgrade(t *testing.T) {
	WatchUpgrade(0, func(string) { t.Error("upgraded by no signal") })()
	came := make(chan string, 1)
	stop := WatchUpgrade(syscall.SIGALRM, func(name string) { came <- name })
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGALRM); err != nil {
		t.Fatal(err)
	}
	if name := eventually.Receive(t, "the upgrade", came); name != syscall.SIGALRM.String() {
		t.Errorf("upgraded by %s", name)
	}
}

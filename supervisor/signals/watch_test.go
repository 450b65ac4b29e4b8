package signals

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"golang.org/x/sys/unix"
)

// TestWatch: each signal is one call of what it means, and a reload that hangs holds up no order.
func TestWatch(t *testing.T) {
	reloads, reopens, orders := make(chan struct{}), make(chan struct{}, 8), make(chan string, 8)
	hang := make(chan struct{})
	stop := Watch(Handlers{
		Reload: func() { reloads <- struct{}{}; <-hang },
		Reopen: func() { reopens <- struct{}{} },
		Roll:   func(reason string) { orders <- "roll: " + reason },
		Scale:  func(by int) { orders <- fmt.Sprint("scale by ", by) },
		Stop:   func(reason string) { orders <- "stop: " + reason },
	})
	send := func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGHUP)
	eventually.Receive(t, "the reload", reloads)
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGUSR2: "roll: SIGUSR2", syscall.SIGTTIN: "scale by 1", syscall.SIGTTOU: "scale by -1",
		syscall.SIGTERM: "stop: terminated", syscall.SIGINT: "stop: interrupt", syscall.SIGQUIT: "stop: quit",
	} {
		send(sig)
		if got := eventually.Receive(t, sig.String(), orders); got != want {
			t.Errorf("%v became %q, want %q", sig, got, want)
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

// TestFind: a signal has several names, and a number.
func TestFind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]syscall.Signal{"SIGHUP": 1, "hup": 1, "1": 1, "Usr1": syscall.SIGUSR1, "0": 0, "-1": 0, "999": 0, "": 0, "nothing": 0} {
		number, name := Find(text)
		if number != int(want) || number != 0 && name != unix.SignalName(want) {
			t.Errorf("%q is %d, %s", text, number, name)
		}
	}
	if _, name := Find("nothing"); name != "SIGNOTHING" {
		t.Errorf("what is not found is called %s", name)
	}
}

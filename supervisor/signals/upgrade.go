package signals

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real-time signals as people count them: the C library has the first two of the kernel's
// for itself, signal(7).
const (
	firstRealTime = 34
	lastRealTime  = 64
)

// upgradeSignals are those that mean nothing else to a master, nor to Go's runtime, and
// that a keeper passes on; real-time signals too.
var upgradeSignals = []string{"SIGALRM", "SIGVTALRM", "SIGIO", "SIGPWR"}

// ParseUpgrade reads which signal is to upgrade a master: SIGALRM, SIGVTALRM, SIGIO,
// SIGPWR, with or without SIG, or RTMIN to RTMIN+30, as RTMIN+1; off, or nothing: none (0).
func ParseUpgrade(text string) (syscall.Signal, error) {
	if text == "" || text == "off" {
		return 0, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if offset, ok := strings.CutPrefix(name, "RTMIN"); ok {
		n, err := strconv.Atoi("0" + strings.TrimPrefix(offset, "+"))
		if err == nil && n <= lastRealTime-firstRealTime {
			return syscall.Signal(firstRealTime + n), nil
		}
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 && slices.Contains(upgradeSignals, "SIG"+name) {
		return sig, nil
	}
	return 0, fmt.Errorf("cannot upgrade by the signal %q: it may be one of %s, or RTMIN to RTMIN+%d",
		text, strings.Join(upgradeSignals, ", "), lastRealTime-firstRealTime)
}

// WatchUpgrade calls upgrade, one call after the other, each time that sig comes, until stop is called. A call under way then
// is not waited for: an upgrade has its own bounds. sig 0 is none.
func WatchUpgrade(sig syscall.Signal, upgrade func(name string)) (stop func()) {
	if sig == 0 {
		return func() {}
	}
	came := make(chan os.Signal, 1)
	signal.Notify(came, sig)
	go func() {
		for s := range came {
			upgrade(s.String())
		}
	}()
	return func() {
		signal.Stop(came)
		close(came)
	}
}

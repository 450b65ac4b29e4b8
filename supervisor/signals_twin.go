package supervisor

import (
	"syscall"
	"time"
)

// Below a keeper, kill $(pidof tine) and its like reach the master twice: from who sends it,
// and from the keeper, which passes it on. Nothing in a signal tells the two apart.
const (
	// twinStop is how long the stop signal that began a stop does not mean "at once" when
	// it comes again. A second one that somebody sends to the keeper arrives as another.
	twinStop = time.Second
	// twinRoll is how long SIGUSR2 waits for another. All that come meanwhile are for what
	// is on disk when the rollout begins after it.
	twinRoll = 250 * time.Millisecond
)

// twins finds signals that are one. Those that do no harm a second time - SIGHUP, SIGUSR1 -
// are left alone, and so are SIGTTIN and SIGTTOU: three of them mean three workers.
type twins struct {
	kept func() bool // a keeper is above
	stop syscall.Signal
	at   time.Time        // of stop
	wait <-chan time.Time // of a SIGUSR2 that is held; nil: of none
}

// hold says whether the signal is not to be acted on now: it was already, or is when wait
// comes.
func (t *twins) hold(sig syscall.Signal, now time.Time) bool {
	if !t.kept() {
		return false
	}
	switch sig {
	case syscall.SIGUSR2:
		if t.wait == nil {
			t.wait = time.After(twinRoll)
		}
		return true
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		if t.stop == 0 {
			t.stop, t.at = sig, now
			return false
		}
		return sig == t.stop && now.Sub(t.at) < twinStop
	}
	return false
}

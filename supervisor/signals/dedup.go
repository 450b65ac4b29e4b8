package signals

import (
	"syscall"
	"time"
)

// Below a keeper, kill $(pidof tine) and its like reach the master twice: directly, and from the keeper, which passes the
// signal on. Nothing in a signal tells the two apart.
const (
	// twinStop is how long the stop signal that began a stop does not mean "at once" when it comes again. A second one that
	// is sent to the keeper arrives as another signal.
	twinStop = time.Second
	// twinRoll is how long SIGUSR2 waits for another. All that come meanwhile are for what
	// is on disk when the rollout begins after it.
	twinRoll = 250 * time.Millisecond
)

// dedup drops the second copy of a signal that was sent to keeper and master at once (kill $(pidof tine)). SIGHUP and SIGUSR1
// do no harm a second time and pass; SIGTTIN and SIGTTOU pass too: three of them mean three workers.
type dedup struct {
	kept func() bool // a keeper is above
	stop syscall.Signal
	at   time.Time        // of stop
	wait <-chan time.Time // of a SIGUSR2 that is held; nil: of none
}

// hold reports whether the signal is not to be acted on now: it was already, or it is when wait fires.
func (d *dedup) hold(sig syscall.Signal, now time.Time) bool {
	if !d.kept() {
		return false
	}
	switch sig {
	case syscall.SIGUSR2:
		if d.wait == nil {
			d.wait = time.After(twinRoll)
		}
		return true
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		if d.stop == 0 {
			d.stop, d.at = sig, now
			return false
		}
		return sig == d.stop && now.Sub(d.at) < twinStop
	}
	return false
}

package signals

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Handlers are what the signals of a master mean. Reload and Reopen may wait for a disk; they run in goroutines of their own,
// one call of each at a time, and one more that waits: a further signal meanwhile changes nothing, as the one that waits will
// see what it means. The others must not wait for long.
type Handlers struct {
	Reload func()              // SIGHUP
	Reopen func()              // SIGUSR1
	Roll   func(reason string) // SIGUSR2
	Scale  func(by int)        // SIGTTIN: 1, SIGTTOU: -1
	Stop   func(reason string) // SIGTERM, SIGINT, SIGQUIT
	Kept   bool                // a keeper is above, and passes signals on: see dedup
}

// order is for the signals that change what runs. Any other signal means nothing.
func (h Handlers) order(sig syscall.Signal) {
	switch sig {
	case syscall.SIGUSR2:
		h.Roll("SIGUSR2")
	case syscall.SIGTTIN:
		h.Scale(1)
	case syscall.SIGTTOU:
		h.Scale(-1)
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		h.Stop(sig.String())
	}
}

var watched = []os.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
}

// endTimeout bounds the wait for a reload or a reopen when the watch ends.
const endTimeout = 2 * time.Second

// Watch turns the process's signals into calls of h until stop is called. What is not listed in Handlers keeps Go's meaning:
// SIGURG is the Go runtime's own, and SIGWINCH means nothing to a process without a screen.
//
// stop gives the signals back their default meaning. It does not wait for a reload or a reopen that hangs on its disk. Below a
// keeper the signals are ignored instead: one that is sent to both processes, as systemd does to a control group, comes
// twice, and the second must not kill a master that has just ended in order.
func Watch(h Handlers) (stop func()) {
	w := &watch{h: h, signals: make(chan os.Signal, 64), ended: make(chan struct{})}
	signal.Notify(w.signals, watched...)
	go w.run()
	return w.stop
}

type watch struct {
	h       Handlers
	signals chan os.Signal
	ended   chan struct{}
}

func (w *watch) stop() {
	if w.h.Kept {
		signal.Ignore(watched...)
	}
	signal.Stop(w.signals)
	close(w.signals)
	select {
	case <-w.ended:
	case <-time.After(endTimeout):
	}
}

// run never waits for a disk: a stop has to get through while a config file hangs.
func (w *watch) run() {
	defer close(w.ended)
	reload, reloaded := forEach(w.h.Reload)
	reopen, reopened := forEach(w.h.Reopen)
	dedup := dedup{kept: func() bool { return w.h.Kept }}
	for more := true; more; {
		var sig os.Signal
		select {
		case sig, more = <-w.signals:
		case <-dedup.wait:
			dedup.wait = nil
			w.h.order(syscall.SIGUSR2)
			continue
		}
		switch {
		case !more || dedup.hold(sig.(syscall.Signal), time.Now()):
		case sig == syscall.SIGHUP:
			request(reload)
		case sig == syscall.SIGUSR1:
			request(reopen)
		default:
			w.h.order(sig.(syscall.Signal))
		}
	}
	close(reload)
	close(reopen)
	<-reloaded
	<-reopened
}

// request asks for one more call, unless one waits already.
func request(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// forEach calls do for each request, in a goroutine that ends when requests is closed.
func forEach(do func()) (requests chan<- struct{}, ended <-chan struct{}) {
	r, e := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(e)
		for range r {
			do()
		}
	}()
	return r, e
}

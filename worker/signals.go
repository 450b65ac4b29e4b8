package worker

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

// exitGrace is what main has left to return in after a drain was cut short by a second signal.
const exitGrace = time.Second

// watchSignals makes SIGTERM and SIGINT drain the worker, and SIGPIPE harmless. The first of the former during a drain
// that the master ordered asks for what is being done already; the second, or one when the time is up, cuts it short.
//
// To ask for them takes the runtime up to a millisecond, which a worker that replaces a dead one does not have. Under a
// master it is done beside the rest of the start, and before the worker says ready; a worker that stands alone waits for it.
func (w *Worker) watchSignals() {
	listening := make(chan struct{})
	w.signals = listening
	go func() {
		ch := make(chan os.Signal, 2)
		defer signal.Stop(ch)
		w.askForSignals(ch)
		close(listening)
		for again := false; ; again = true {
			select {
			case s := <-ch:
				w.signalled(s.(syscall.Signal), again)
			case <-w.over:
				return
			}
		}
	}()
	if !w.attached {
		<-listening
	}
}

func (w *Worker) askForSignals(ch chan<- os.Signal) {
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	if w.attached {
		// The master reads what this process prints. Go ends a program that prints to a pipe without a reader unless
		// the program asks for SIGPIPE, and a worker has to survive its master, to its own last line. (To ignore the
		// signal instead would be inherited by children.)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
}

func (w *Worker) signalled(s syscall.Signal, again bool) {
	select {
	case <-w.drain.cutting:
		again = true
	default:
	}
	if again {
		w.drain.cut()
		time.AfterFunc(exitGrace, func() { w.opts.exit(1) })
		return
	}
	name := "SIGTERM"
	if s == syscall.SIGINT {
		name = "SIGINT"
	}
	w.Leave(name)
}

// Leave begins a drain of the worker's own accord, as SIGTERM does: the master is told why and replaces the worker at
// once. During a drain it does nothing.
func (w *Worker) Leave(reason string) {
	select {
	case <-w.drain.begun:
		return
	default:
	}
	// The master holds the sockets, and its next worker finds in their queues what comes from now on. Without one
	// they end with this process, so what is queued must be served first.
	handover := w.attached
	select {
	case <-w.orphaned:
		handover = false
	default:
	}
	if handover {
		_ = w.send(ipc.Bye{Reason: reason}) // so that the replacement starts at once; without a master it is not needed
	}
	w.drain.begin(w, w.drain.usual(reason, handover))
}

package orders

import (
	"net/http"

	"github.com/tinehq/tine/supervisor/control/api"
)

// beginStop ends the workers of an app. It stays listed, and is not started again by anything but an order.
func (b *Book) beginStop(o *order, a App) error {
	delete(b.claims, a.ID) // the order that was to bring the next run learns of it
	o.total = a.Processes
	b.enter(o, stopping)
	b.emit(Stop{a.ID, o.Now, o.because("ordered to")})
	return nil
}

// beginSignal sends a signal to one worker or to all.
func (b *Book) beginSignal(o *order, a App) error {
	if o.Signal == "" {
		return api.WrongField("signal", "say which signal, such as SIGHUP")
	}
	number, name := b.signals(o.Signal)
	if number == 0 {
		r := api.WrongField("signal", "there is no signal %q", o.Signal)
		r.Suggestion = api.Nearest(name, signalNames)
		return r
	}
	b.enter(o, signalling)
	b.emit(Send{o.id, a.ID, o.Slot, number, o.Reason})
	return nil
}

// signalNames are those that a worker can be sent, as they are suggested.
var signalNames = []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGKILL", "SIGCONT",
	"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGWINCH", "SIGALRM", "SIGABRT", "SIGPIPE", "SIGURG", "SIGCHLD"}

// signalled ends an order that sent a signal. If no process got it, the order is refused.
func (b *Book) signalled(ev Signalled) {
	o := b.find(ev.Order)
	if o == nil || o.phase != signalling {
		return
	}
	_, name := b.signals(o.Signal)
	for i, s := range ev.Sent {
		slot := s.Slot
		b.tell(o, api.Progress{Slot: &slot, Worker: uint64(s.Worker), PID: s.PID, State: "signalled", Message: name + " sent", Done: i + 1})
	}
	var err error
	switch {
	case len(ev.Sent) > 0:
	case o.Slot != nil:
		err = api.Refuse(http.StatusConflict, "slot %d of app %s has no worker to signal", *o.Slot, o.name)
	default:
		err = api.Refuse(http.StatusConflict, "app %s has no worker to signal", o.name)
	}
	switch {
	case err != nil && o.alone:
		b.refuse(o, err)
	case err != nil:
		b.end(o, refused, err)
	default:
		if o.alone {
			b.emit(Begun{o.request, 1})
		}
		b.end(o, done, nil)
	}
}

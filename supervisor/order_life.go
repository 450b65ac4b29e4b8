package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// An app that is stopped by an order stays in the list, without workers and without
// sockets: its addresses are free, as they are when a service manager stops a unit,
// and who connects is refused at once instead of waiting for nobody. A restart keeps
// them: who connects meanwhile waits for the new workers. The count of workers that
// somebody scaled to survives both, and the counters go on.

var errStoppedMeanwhile = errors.New("it was stopped meanwhile")

// appReopened: the next run of an app was prepared, or cannot be.
type appReopened struct {
	o    *order
	old  *app
	next *app
	err  error
	then func(next *app)
}

// beginStart gives an app that does not run its workers again, or a held slot its
// one. What runs is left as it is.
func (l *loop) beginStart(o *order, a *app) error {
	if o.Slot == nil {
		l.startDependencies(a)
	}
	switch {
	case o.Slot != nil:
		if err := a.mustRun(o.Verb); err != nil {
			return err
		}
		l.fillSlot(o, a, *o.Slot)
	case a.opening != nil: // somebody starts or restarts it already
		name := a.name
		o.over = func() (bool, error) {
			now := l.listed(name)
			if now == nil || now.opening == nil && now.ended && now.halted {
				return false, errStoppedMeanwhile
			}
			if now.opening == nil {
				o.total = now.pool.Status().Wanted
				o.over = l.awaitReady(o, now, func(int) bool { return now.config.StartLimit == 0 })
				return o.over()
			}
			return false, nil
		}
	case a.ended || a.state() == control.AppStopping:
		if !a.ended && !a.halted {
			return control.Refuse(http.StatusConflict, "cannot start app %s: it is ending", a.name)
		}
		a.opening = o
		o.over = func() (bool, error) {
			if err := l.cancelled(o, a); err != nil {
				return false, err
			}
			if a.ended {
				o.over = nil
				l.reopen(o, a, nil, func(next *app) { l.exchange(o, a, next) })
			}
			return false, nil
		}
	default:
		o.total = a.pool.Status().Wanted
		o.over = l.awaitReady(o, a, func(int) bool { return true })
		if !a.waiting {
			l.step(a, pool.Release{Slot: -1})
		}
	}
	return nil
}

// cancelled says whether an order's app was stopped while it was to be started.
func (l *loop) cancelled(o *order, a *app) error {
	l.changed(a)
	if a.opening == o && !l.stopping {
		return nil
	}
	if a.opening == o {
		a.opening = nil
	}
	return fmt.Errorf("cannot %s app %s: %w", o.Verb, a.name, errStoppedMeanwhile)
}

// reopen prepares the next run of an app: on the sockets of the one that keeps them,
// or on new ones.
func (l *loop) reopen(o *order, a, keeps *app, then func(next *app)) {
	config, wanted, given := a.config, a.pool.Status().Wanted, l.given
	if a.startWith > 0 {
		wanted = a.startWith
	}
	firstID, number := a.history.lastID+1, a.nextGeneration()
	asked := config
	asked.Workers = max(wanted, 1)
	l.s.wg.Go(func() {
		next, err := openApp(asked, keeps, given)
		if err == nil {
			c := poolConfig(config)
			c.Workers, c.FirstID, c.FirstGeneration, c.Seed = wanted, firstID, number, rand.Uint64()
			g := next.generations[next.pool.Status().Generation]
			next.config, next.pool, next.replaces = config, pool.New(c), nil
			next.generations = map[int]*generation{number: g}
			g.config = config
		}
		if !l.s.post(appReopened{o, a, next, err, then}) && next != nil && keeps == nil {
			next.sockets.Close()
		}
	})
}

// nextGeneration is that of a new run, which reads all anew as a rollout does.
func (a *app) nextGeneration() int {
	return max(a.history.lastGeneration, a.pool.Status().Generation) + 1
}

func (m appReopened) apply(l *loop) {
	l.changed(m.old)
	err := m.err
	if err == nil {
		if err = l.cancelled(m.o, m.old); err != nil && m.next.sockets != m.old.sockets {
			m.next.sockets.Close()
		}
	}
	if err != nil {
		if m.old.opening == m.o {
			m.old.opening = nil
		}
		m.old.history.error = err.Error()
		l.endOrder(m.o, err)
		return
	}
	m.then(m.next)
}

// exchange puts the next run of an app in the place of the one that has ended.
func (l *loop) exchange(o *order, a, next *app) {
	a.opening = nil
	kept := next.sockets == a.sockets // and counted
	if !kept {
		next.sockets.users++
	}
	i := slices.Index(l.apps, a)
	if i < 0 {
		next.sockets.release()
		l.endOrder(o, fmt.Errorf("cannot %s app %s: it was taken out of the config meanwhile", o.Verb, a.name))
		return
	}
	next.inherit(a)
	next.ordered = true
	l.changed(next)
	l.number(next)
	l.apps[i] = next
	o.total = next.pool.Status().Wanted
	o.over = l.awaitReady(o, next, func(int) bool { return next.config.StartLimit == 0 })
	if kept {
		next.sockets.users++ // shared, for as long as this takes: they are watched already
		defer func() { next.sockets.users-- }()
	}
	l.start(next)
	if kept { // a config may have made it smaller meanwhile
		l.closeSurplus(a)
	}
}

// fillSlot ends the hold of a slot and waits for its worker.
func (l *loop) fillSlot(o *order, a *app, slot int) {
	ready := l.awaitReady(o, a, func(n int) bool { return n == slot })
	o.total = a.pool.Status().Wanted // of these the steps say how many are ready
	o.over = func() (bool, error) {
		st := a.pool.Status()
		if slot >= st.Wanted {
			return false, fmt.Errorf("slot %d of app %s was scaled away meanwhile", slot, a.name)
		}
		if !a.ended && slot < len(st.Slots) && st.Slots[slot].Held == "" && (hasReady(st.Slots[slot]) || st.Slots[slot].Finished) {
			return true, nil
		}
		if done, err := ready(); err != nil || done && a.ended {
			return done, err
		}
		if st.Slots[slot].Held != "" {
			return false, fmt.Errorf("slot %d of app %s was drained meanwhile", slot, a.name)
		}
		return false, nil
	}
	l.step(a, pool.Release{Slot: slot})
}

// beginStop ends an app's workers. It stays in the list, and is not started again by
// anything but an order.
func (l *loop) beginStop(o *order, a *app) error {
	if a.opening != nil {
		a.opening = nil // whoever starts it learns of it
		if a.ended {
			a.halted = true
		}
	}
	o.total = len(a.members)
	gone := 0
	o.see = func(e control.Event) {
		if e.Kind == pool.KindExited.String() {
			gone = min(gone+1, o.total)
		}
		o.step(e, gone)
	}
	o.over = func() (bool, error) { return a.ended, nil }
	if a.ended {
		if a.comesAgain() {
			a.halted, l.saveDue = true, true
			a.endFileWatch()
		}
		return nil
	}
	l.logs.Info().Str("app", a.name).Str("reason", because(o.Reason, "ordered to")).Bool("at_once", o.Now).Msg("stopping app")
	a.halted = true
	if old := a.replaces; old != nil && !old.ended {
		l.leave(old)
	}
	if o.Now {
		l.killNow(a)
	} else {
		l.leave(a)
	}
	return nil
}

// beginRestart stops an app, or one slot, and starts it again. What is on disk is read
// before, so that a program that is not there stops nothing.
func (l *loop) beginRestart(o *order, a *app) error {
	if o.Slot != nil {
		return l.restartSlot(o, a, *o.Slot)
	}
	if a.ended || a.opening != nil || a.state() == control.AppStopping {
		return l.beginStart(o, a)
	}
	if a.sockets.shared() {
		return control.Refuse(http.StatusConflict, "app %s is just taking over from another: try again when that has ended", a.name)
	}
	a.opening = o
	l.reopen(o, a, a, func(next *app) {
		if a.ended { // by itself, meanwhile; and its sockets are closed
			l.reopen(o, a, nil, func(next *app) { l.exchange(o, a, next) })
			return
		}
		a.sockets.users++ // for next
		a.halted = true
		gone := 0
		o.total = len(a.members)
		o.see = func(e control.Event) {
			if e.Kind == pool.KindExited.String() {
				gone = min(gone+1, o.total)
			}
			o.step(e, gone)
		}
		o.over = func() (bool, error) {
			if err := l.cancelled(o, a); err != nil {
				a.sockets.release()
				return false, err
			}
			if a.ended {
				l.exchange(o, a, next)
			}
			return false, nil
		}
		if !a.leaving {
			a.parting = because(o.Reason, "restart")
		}
		if o.Now {
			l.killNow(a)
		} else {
			l.leave(a)
		}
	})
	return nil
}

// restartSlot empties a slot and then fills it.
func (l *loop) restartSlot(o *order, a *app, slot int) error {
	if err := a.mustRun(o.Verb); err != nil {
		return err
	}
	l.empty(o, a, slot, because(o.Reason, "restart"))
	empty := o.over
	o.over = func() (bool, error) {
		done, err := empty()
		if done {
			l.fillSlot(o, a, slot)
		}
		return false, err
	}
	if o.Now {
		for _, m := range a.inOrder() {
			if m.slot == slot {
				l.kill(m, m.proc.Kill)
			}
		}
	}
	return nil
}

// beginSignal sends a signal to one worker or to all.
func (l *loop) beginSignal(o *order, a *app) error {
	sig, err := parseSignal(o.Signal)
	if err != nil {
		return err
	}
	sent := 0
	for _, m := range a.inOrder() {
		if o.Slot != nil && m.slot != *o.Slot {
			continue
		}
		if err := m.proc.Send(sig); err != nil {
			continue // its exit is on the way
		}
		sent++
		l.worker(l.logs.Info(), m).Str("signal", unix.SignalName(sig)).Str("reason", o.Reason).Msg("signal sent")
		slot := m.slot
		o.tell(control.Progress{Slot: &slot, Worker: uint64(m.id), PID: m.proc.PID(), State: "signalled", Message: unix.SignalName(sig) + " sent", Done: sent})
		l.event(a, zerolog.InfoLevel, control.Event{Kind: control.EventSignalled, Slot: &slot, Worker: uint64(m.id), PID: m.proc.PID(),
			Signal: unix.SignalName(sig), Reason: o.Reason, Message: "worker " + strconv.FormatUint(uint64(m.id), 10) + " was sent " + unix.SignalName(sig)})
	}
	if sent == 0 {
		if o.Slot != nil {
			return control.Refuse(http.StatusConflict, "slot %d of app %s has no worker to signal", *o.Slot, a.name)
		}
		return control.Refuse(http.StatusConflict, "app %s has no worker to signal", a.name)
	}
	o.total = sent
	o.over = func() (bool, error) { return true, nil }
	return nil
}

// signalNames are those that a worker can be sent, as they are suggested.
var signalNames = []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGKILL", "SIGCONT",
	"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGWINCH", "SIGALRM", "SIGABRT", "SIGPIPE", "SIGURG", "SIGCHLD"}

// parseSignal reads a name, with or without SIG, in any case, or a number.
func parseSignal(text string) (syscall.Signal, error) {
	if text == "" {
		return 0, wrongField("signal", "say which signal, such as SIGHUP")
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), nil
	}
	r := wrongField("signal", "there is no signal %q", text)
	r.Suggestion = control.Nearest(name, signalNames)
	return 0, r
}

// shutdown is the end of tine itself. Its answer is that it began.
type shutdown struct {
	control.Order
	answer chan<- struct{}
}

func (m shutdown) apply(l *loop) {
	if m.Now || !l.stopping {
		stopOrder{now: m.Now, reason: because(m.Reason, "ordered to")}.apply(l)
	}
	m.answer <- struct{}{}
}

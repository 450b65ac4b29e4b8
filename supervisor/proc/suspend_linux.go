package proc

import (
	"maps"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// suspensions knows the processes with Options.Suspended. The system tells a parent by SIGCHLD and
// says not of whom, so on each signal every one of them is asked; several signals become one round. There is a goroutine
// while there is a process to watch, and it costs nothing while none changes.
var suspensions watcher

type watcher struct {
	mu  sync.Mutex
	now *watch // nil: no process to watch
}

// watch is one life of the goroutine, from the first process to the last.
type watch struct {
	watched  map[*Process]func(suspended bool)
	children chan os.Signal // a round is wanted
	end      chan struct{}
}

// add must come before the process can be reaped.
func (w *watcher) add(p *Process, notify func(suspended bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		w.now = &watch{map[*Process]func(bool){}, make(chan os.Signal, 1), make(chan struct{})}
		signal.Notify(w.now.children, syscall.SIGCHLD)
		go w.run(w.now)
	}
	w.now.watched[p] = notify
	// It may have been suspended before this listened.
	select {
	case w.now.children <- syscall.SIGCHLD:
	default:
	}
}

func (w *watcher) remove(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		return
	}
	delete(w.now.watched, p)
	if len(w.now.watched) == 0 {
		signal.Stop(w.now.children)
		close(w.now.end)
		w.now = nil
	}
}

func (w *watcher) run(now *watch) {
	for {
		select {
		case <-now.end:
			return
		case <-now.children:
		}
		for p := range w.all(now) {
			if suspended, changed := p.askSuspended(); changed {
				w.tell(now, p, suspended)
			}
		}
	}
}

func (w *watcher) all(now *watch) map[*Process]func(bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(now.watched)
}

// tell does not hold the lock in the call, which may start a process.
func (w *watcher) tell(now *watch, p *Process, suspended bool) {
	w.mu.Lock()
	notify := now.watched[p]
	w.mu.Unlock()
	if notify != nil {
		notify(suspended)
	}
}

// askSuspended takes from the system what has happened to p since it was asked last. It never asks for the exit: what
// reaps is reap alone.
func (p *Process) askSuspended() (suspended, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.suspended
	for !p.reaped {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || info.Signo == 0 {
			break
		}
		switch info.Code {
		case cldStopped:
			p.suspended = true
		case cldContinued:
			p.suspended = false
		}
	}
	return p.suspended, p.suspended != before
}

// What a siginfo_t of SIGCHLD says in si_code: see sigaction(2). Stops for a debugger are 4, CLD_TRAPPED.
const (
	cldStopped   = 5
	cldContinued = 6
)

package keeper

import (
	"fmt"
	"syscall"
)

// An event is a fact that the shell has seen.
type event interface{ event() }

type (
	// begin is the first event, once.
	begin struct{}
	// tick says that deadline has come. One too many does no harm.
	tick struct{}
	// started and startFailed answer start.
	started     struct{ pid int }
	startFailed struct {
		program string // as in start
		err     error
	}
	// announced: MAINPID named a process that may be the master, and it lives. Its program, if that was said too.
	announced struct {
		pid     int
		command string
	}
	// heard: a notification concerns this master. Those that it sent before its end come before ended.
	// by is the process that has sent it: this master, or in an upgrade the one before.
	heard struct {
		pid, by int
		m       message
	}
	// ended: a master has.
	ended struct {
		pid    int
		status status
	}
	// signalled: the keeper got a signal that is not its own affair.
	signalled struct{ signal syscall.Signal }
	// orphaned: a process that was not a master has ended, so that there may be new children.
	orphaned struct{}
	// childless: this process has no child.
	childless struct{}
)

func (begin) event()       {}
func (tick) event()        {}
func (started) event()     {}
func (startFailed) event() {}
func (announced) event()   {}
func (heard) event()       {}
func (ended) event()       {}
func (signalled) event()   {}
func (orphaned) event()    {}
func (childless) event()   {}

// An effect is an order to the shell. Those of one step are carried out in their order.
type effect interface{ effect() }

type (
	// start starts a master with the stored files, from this program. The answer is started or startFailed.
	start struct{ program string }
	// send sends a signal to a master.
	send struct {
		pid    int
		signal syscall.Signal
	}
	// endOrphans sends SIGTERM, each once, or SIGKILL, to the process groups of all children. The answer is childless
	// when none is left.
	endOrphans struct{ kill bool }
	// tell passes a notification on to what supervises the keeper.
	tell struct{ state string }
	// say is a line of log: calm if it tells of what is to be expected.
	say struct {
		text string
		calm bool
	}
	// exit is the last effect of the last step.
	exit struct{ code int }
)

func (start) effect()      {}
func (send) effect()       {}
func (endOrphans) effect() {}
func (tell) effect()       {}
func (say) effect()        {}
func (exit) effect()       {}

// status is how a process ended.
type status struct {
	code   int
	signal syscall.Signal // 0: it exited
	lost   bool           // it is not known how: it was another process's child. code is 0
}

func statusOf(w syscall.WaitStatus) status {
	if w.Signaled() {
		return status{signal: w.Signal()}
	}
	return status{code: w.ExitStatus()}
}

// exitCode is the exit code by which one process passes on how another ended, as a shell does.
func (s status) exitCode() int {
	if s.signal != 0 {
		return 128 + int(s.signal)
	}
	return s.code
}

func (s status) String() string {
	switch {
	case s.lost:
		return "its exit status is not known"
	case s.signal != 0:
		return "signal " + s.signal.String()
	}
	return fmt.Sprintf("exit code %d", s.code)
}

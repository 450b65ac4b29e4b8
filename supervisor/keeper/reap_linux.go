package keeper

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapAll takes the exits of all children that have ended. Nothing else in this process may reap: a PID is free for reuse only
// after it, so until then no signal can reach a stranger.
func (s *shell) reapAll() {
	orphans := false
	for {
		pid, err := nextEnded()
		if err == unix.ECHILD {
			s.step(childless{})
			return
		}
		if err != nil || pid == 0 {
			break
		}
		if _, ok := s.pidfds[pid]; ok {
			s.reapMaster(pid)
			continue
		}
		orphans = true
		start, _ := StartTime(pid) // 0 without /proc
		if w, err := reap(pid); err == nil {
			s.exits.add(Exit{pid, start, w})
		}
		delete(s.told, pid)
	}
	if orphans {
		s.step(orphaned{})
	}
}

func (s *shell) reapMaster(pid int) {
	s.receive(lastWords)
	st := status{lost: true}
	if w, err := reap(pid); err == nil {
		st = statusOf(w)
	}
	s.forget(pid)
	s.step(ended{pid, st})
}

// seeStrangers sees the ends of masters that are no children of ours: of an upgrade, as long as the one before lives.
func (s *shell) seeStrangers() {
	for pid, fd := range s.pidfds {
		st := status{lost: true}
		switch {
		case fd < 0:
			if unix.Kill(pid, 0) != unix.ESRCH {
				continue
			}
		case !readable(fd), isChild(fd): // SIGCHLD comes
			continue
		default:
			// Its parent reaps it, or dies and leaves it to us.
			reaped := false
			for begin := time.Now(); !reaped && !isChild(fd) && time.Since(begin) < strangerGrace; {
				st, reaped = exitOfStranger(fd)
			}
			if !reaped && isChild(fd) {
				s.reapMaster(pid)
				continue
			}
		}
		s.receive(lastWords)
		s.forget(pid)
		s.step(ended{pid, st})
	}
}

// endOrphans signals the process groups of all children. A child that leads no group is signalled alone: the group may be
// that of the keeper, and of the process that has started it.
func (s *shell) endOrphans(kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	list, err := children()
	if err != nil && ofMachine(err) {
		s.store.close() // no master will need them, and to look at processes takes a descriptor
		list, err = children()
	}
	if err != nil {
		if os.Getpid() == 1 {
			_ = syscall.Kill(-1, sig) // all but ourselves
			return
		}
		s.log.say("cannot find what has lost its master: %v", err)
		return
	}
	own := syscall.Getpgrp()
	for _, c := range list {
		if s.told[c.pid] && !kill {
			continue
		}
		s.told[c.pid] = true
		if c.group > 1 && c.group != own {
			_ = syscall.Kill(-c.group, sig)
		} else {
			_ = syscall.Kill(c.pid, sig)
		}
	}
}

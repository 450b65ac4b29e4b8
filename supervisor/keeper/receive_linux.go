package keeper

import (
	"cmp"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// burst is how many notifications are read in one turn: a process that sends without end does not keep the keeper from the rest.
	burst = 64
	// lastWords is how many are read at least before the end of a master is judged: more than the kernel queues
	// (net.unix.max_dgram_qlen, 10, or 512 under systemd), so that what it said last is among them.
	lastWords = 4096
)

// receive reads what has come, at most so many.
func (s *shell) receive(most int) {
	for range most {
		d, err := s.socket.receive()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		for _, fd := range s.understand(d) {
			unix.Close(fd) // of BARRIER=1 too: what came before is done
		}
	}
}

// understand acts on a notification and returns the files that were not taken.
func (s *shell) understand(d datagram) (left []int) {
	m, err := parse(d.text)
	sender := int(d.sender.Pid)
	about, known := sender, s.knows(sender)
	if m.mainPID != 0 && (known || sender == m.mainPID) && s.mayLead(m.mainPID, d.sender.Uid, known) {
		if !s.knows(m.mainPID) {
			s.follow(m.mainPID, -1)
		}
		if m.command == s.o.Command {
			m.command = "" // with the ways back that that one has
		}
		s.step(announced{m.mainPID, m.command})
		about, known = m.mainPID, true
	}
	if !known {
		s.refuse(d)
		return d.fds
	}
	if m.mainPID != 0 && about != m.mainPID {
		s.log.say("process %d cannot be the master, though %d says so: no master has started it, or there are too many", m.mainPID, sender)
	}
	if err != nil {
		s.log.say("process %d: %v", sender, err)
	}
	s.step(heard{about, sender, m})
	if c := s.core.charge; m.control != nil && c != nil && c.pid == about {
		s.claim.moved(*m.control)
	}
	switch {
	case m.store:
		return s.keep(d, m)
	case m.remove && m.name == "":
		s.log.say("cannot remove stored files for process %d: no valid FDNAME says which", sender)
	case m.remove:
		s.store.remove(m.name)
	case m.exits:
		s.answer(d, s.exits.appendTo(nil))
	case m.room:
		s.answer(d, s.store.room().appendTo(nil))
	case m.chief:
		pid := 0
		if c := s.core.charge; c != nil {
			pid = c.pid
		}
		s.answer(d, strconv.AppendInt(nil, int64(pid), 10))
	}
	return d.fds
}

func (s *shell) keep(d datagram, m message) (left []int) {
	m.name = cmp.Or(m.name, defaultName)
	if !d.complete {
		s.store.refused.add(m.name)
		s.log.say("cannot store %s: some of its files were lost on the way, which RLIMIT_NOFILE may be too low for", m.name)
		return d.fds
	}
	if err := s.store.add(m.name, d.fds); err != nil {
		s.log.say("cannot store %s: %v", m.name, err)
	}
	return nil
}

// answer writes into the memfd that came with a question. A regular file never blocks who writes.
func (s *shell) answer(d datagram, text []byte) {
	if len(d.fds) != 1 {
		s.log.say("cannot answer process %d: %d files came with its question, and one memfd is needed", d.sender.Pid, len(d.fds))
		return
	}
	var st unix.Stat_t
	if unix.Fstat(d.fds[0], &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		s.log.say("cannot answer process %d: what came with its question is not a memfd", d.sender.Pid)
		return
	}
	for len(text) > 0 {
		n, err := unix.Write(d.fds[0], text)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			s.log.say("cannot answer process %d: %v", d.sender.Pid, err)
			return
		}
		text = text[n:]
	}
}

func (s *shell) knows(pid int) bool {
	_, ok := s.pidfds[pid]
	return ok
}

// mayLead reports whether pid may become the master: a process that a master has started, and if it says so itself, of the
// keeper's user: what may kill the master anyway gains nothing.
//
// One that has lost its master before it said so comes too late if another was started in its place: there must not be two
// in charge. It learns that by asking (see Client.Lead).
func (s *shell) mayLead(pid int, uid uint32, byMaster bool) bool {
	if s.knows(pid) {
		return byMaster // one can take the charge back
	}
	if pid <= 1 || pid == os.Getpid() || len(s.pidfds) >= maxMasters {
		return false
	}
	if !byMaster && uid != 0 && int(uid) != os.Geteuid() {
		return false
	}
	p, err := readStat(pid)
	if err != nil {
		return false
	}
	return s.knows(p.parent) || p.parent == os.Getpid() && (byMaster || len(s.pidfds) == 0)
}

// refuse says so, ever more rarely: who floods the socket shall not flood the log.
func (s *shell) refuse(d datagram) {
	s.refused++
	if s.refused&(s.refused-1) == 0 {
		s.log.say("refused a notification of process %d (user %d), which is not a master; %d so far", d.sender.Pid, d.sender.Uid, s.refused)
	}
}

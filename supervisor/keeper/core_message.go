package keeper

import (
	"syscall"
	"time"
)

// announced: pid is the master from now on. The shell has seen that it may be. An empty command says nothing.
func (c *core) announced(pid int, command string) {
	if c.phase == ending {
		return
	}
	i := c.find(pid)
	if i < 0 {
		c.masters = append(c.masters, &master{pid: pid, since: c.now, watchdog: c.watchdog})
		i = len(c.masters) - 1
	}
	m := c.masters[i]
	if command != "" {
		m.command = command
	}
	if m == c.charge {
		c.command = m.command
		return
	}
	c.takeCharge(i)
	c.sayCalmly("master is now %d", pid)
	c.passStop()
}

func (c *core) heard(pid, by int, said message) {
	i := c.find(pid)
	if i < 0 {
		return
	}
	m := c.masters[i]
	if by == pid {
		m.spoke, c.silent = true, 0
	}
	if said.ready {
		m.leaving = false // it goes on
	}
	m.stopping = m.stopping || said.stopping
	if said.watchdog > 0 {
		m.watchdog = said.watchdog
	}
	if said.feed || said.ready && m.fed.IsZero() {
		m.fed, m.suspect = c.now, false
	}
	if said.ready && !m.ready {
		m.ready, c.served = true, true
		c.sayCalmly("master %d is ready after %s", pid, c.now.Sub(m.since).Round(time.Millisecond))
	}
	if m != c.charge {
		return
	}
	if said.trigger && !m.aborted {
		c.abort(m, "asks to be treated as hung")
	}
	c.deliver()
	if c.makesRoom(m) {
		said.stopping = false // it makes room for a master that has gone: the service goes on
	}
	if up := upward(said); up != "" {
		c.emit(tell{up})
	}
}

// upward returns the lines of a notification that are passed on to systemd, or what else supervises the keeper: the service, but not which of the processes
// below it is the master, nor its files.
func upward(m message) string {
	var text string
	add := func(yes bool, line string) {
		if yes {
			text += line + "\n"
		}
	}
	add(m.ready, "READY=1")
	add(m.reloading, "RELOADING=1")
	add(m.reloading && m.monotonic != "", "MONOTONIC_USEC="+m.monotonic)
	add(m.stopping, "STOPPING=1")
	add(m.status != "", "STATUS="+m.status)
	add(m.feed, "WATCHDOG=1")
	return text
}

// abort has a hung master tell where it hangs: a Go program prints its goroutines on SIGABRT. SIGCONT, because one that
// is suspended would otherwise not even do that.
func (c *core) abort(m *master, why string) {
	m.aborted = true
	m.killAt = c.now.Add(abortGrace)
	c.say("master %d %s: aborting it", m.pid, why)
	c.emit(send{m.pid, syscall.SIGABRT})
	c.emit(send{m.pid, syscall.SIGCONT})
}

//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

const killed9 = "kill -9 of the master"

// crash kills the master again and again while clients ask.
func (b *bench) crash() error {
	k, err := b.startKept()
	if err != nil {
		return err
	}
	err = b.survive(k, killed9, b.times(20, 3), crashed, 50*time.Millisecond)
	k.end()
	if err != nil {
		return err
	}
	if err := b.countLines(k, killed9, true); err != nil {
		return err
	}
	few := load{clients: rollClients, rate: 1000}
	if err := b.killMaster(b.prefork(keptWorkers, runtimeOf{procs: 1}), few); err != nil {
		return err
	}
	if !b.has("node", killed9+" with Node cluster") {
		return nil
	}
	return b.killMaster(b.node(keptWorkers), few)
}

// killMaster kills the master of a peer once, for comparison: no process starts another.
func (b *bench) killMaster(c command, l load) error {
	s, err := b.serve(c, keptWorkers)
	if err != nil {
		return err
	}
	defer s.p.stop()
	// Its workers may outlive it. They are held by pidfds, so that no other process is ended.
	for _, pid := range procfs.Below(s.p.pid()) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			defer unix.Close(fd)
			defer func() { _ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) }()
		}
	}
	r := l.begin(s.addr, time.Minute)
	err = b.sleep(500 * time.Millisecond)
	if err == nil {
		err = s.p.cmd.Process.Kill()
	}
	if err == nil {
		err = b.sleep(2 * time.Second)
	}
	t := r.end()
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("1 %s of %s, which has no keeper: %s", killed9, s.name, l), "",
		fmt.Sprintf("%d failed of %d in 2.5 s", t.failed, t.requests), info)
	return nil
}

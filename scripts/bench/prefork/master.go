//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type master struct {
	listen string
	procs  int
	pin    bool
	slots  []slot
	exits  chan *child
	life   *os.File // workers end when its other end closes
}

type slot struct {
	socket *os.File
	child  *child
}

type child struct {
	slot  int
	cmd   *exec.Cmd
	ready chan struct{}
	gone  chan struct{}
}

func (m *master) run() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2)
	m.exits = make(chan *child, 2*len(m.slots))
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	m.life = read
	defer write.Close()
	for i := range m.slots {
		if m.slots[i].socket, err = m.open(); err != nil {
			return err
		}
	}
	for i := range m.slots {
		if m.slots[i].child, err = m.start(i); err != nil {
			return err
		}
	}
	for {
		select {
		case c := <-m.exits:
			if m.slots[c.slot].child != c {
				continue
			}
			if m.slots[c.slot].child, err = m.start(c.slot); err != nil {
				return err
			}
		case s := <-signals:
			if s != syscall.SIGUSR2 {
				return m.stop()
			}
			if err := m.roll(); err != nil {
				return err
			}
			fmt.Println("rolled")
		}
	}
}

// open makes one more socket of the group. Its descriptor is duplicated by hand: File would make it blocking.
func (m *master) open() (*os.File, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if err != nil {
			return err
		}
		return set
	}}
	l, err := lc.Listen(context.Background(), "tcp", m.listen)
	if err != nil {
		return nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	if cerr := raw.Control(func(fd uintptr) {
		var dup int
		if dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			f = os.NewFile(uintptr(dup), "slot")
		}
	}); cerr != nil {
		return nil, cerr
	}
	l.Close()
	return f, err
}

func (m *master) start(i int) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &child{slot: i, cmd: exec.Command(self), ready: make(chan struct{}), gone: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), slotVariable+"="+strconv.Itoa(i))
	if m.procs > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(m.procs))
	}
	c.cmd.Stdin, c.cmd.Stderr = m.life, os.Stderr
	c.cmd.ExtraFiles = []*os.File{m.slots[i].socket, write}
	err = m.pinned(i, c.cmd.Start)
	write.Close()
	if err != nil {
		read.Close()
		return nil, err
	}
	go func() {
		if n, _ := read.Read(make([]byte, 1)); n == 1 {
			close(c.ready)
		}
		read.Close()
	}()
	go func() {
		_ = c.cmd.Wait()
		close(c.gone)
		m.exits <- c
	}()
	return c, nil
}

// pinned runs f on one CPU, which what it forks inherits.
func (m *master) pinned(i int, f func() error) error {
	if !m.pin {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	nth := i % before.Count()
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			if nth == 0 {
				one.Set(cpu)
				break
			}
			nth--
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before) //nolint:errcheck // it was its own before
	return f()
}

// roll starts each slot's successor, waits until it serves, and has the old one finish.
func (m *master) roll() error {
	for i := range m.slots {
		old := m.slots[i].child
		next, err := m.start(i)
		if err != nil {
			return err
		}
		select {
		case <-next.ready:
		case <-next.gone:
			return fmt.Errorf("the new worker of slot %d exited", i)
		case <-time.After(30 * time.Second):
			return fmt.Errorf("the new worker of slot %d is not ready", i)
		}
		m.slots[i].child = next
		_ = old.cmd.Process.Signal(syscall.SIGTERM)
		<-old.gone
	}
	return nil
}

func (m *master) stop() error {
	for _, s := range m.slots {
		_ = s.child.cmd.Process.Signal(syscall.SIGTERM)
	}
	deadline := time.After(3 * time.Second)
	for _, s := range m.slots {
		select {
		case <-s.child.gone:
		case <-deadline:
			_ = s.child.cmd.Process.Kill()
		}
	}
	return nil
}

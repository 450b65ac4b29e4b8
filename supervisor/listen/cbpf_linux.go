package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// cbpf steers by classic programs, which need no privilege: the same one on all groups, replaced when who gets
// connections changes. It names sockets by the kernel's number in the group, which is the order of listen: the slot, as long
// as slots are opened in order and closed last first.
type cbpf struct {
	options  Options
	groups   []*os.File // a member of each group; nil where none has joined
	attached []bool     // the group has a program of this steerer
	slots    int        // that have joined
	program  classic
}

func newCBPF(groups int, o Options) *cbpf {
	return &cbpf{options: o, groups: make([]*os.File, groups), attached: make([]bool, groups), program: onlyFirst()}
}

// onlyFirst lets the first socket of a group have all connections.
func onlyFirst() (p classic) {
	p.ret(0)
	return p
}

func (c *cbpf) kind() Kind { return KindCBPF }

func (c *cbpf) join(group, slot int, socket *os.File) error {
	c.slots = max(c.slots, slot+1)
	if slot > 0 {
		return c.keepOut(group)
	}
	c.groups[group] = socket
	// Where the kernel makes no group of a single socket, the second one's turn is early enough.
	_ = c.keepOut(group)
	return nil
}

// keepOut sees to it that the group has a program: those who join it are not in it.
func (c *cbpf) keepOut(group int) error {
	if c.attached[group] {
		return nil
	}
	err := attach(c.groups[group], c.program)
	c.attached[group] = err == nil
	return err
}

func (c *cbpf) leave(group, slot int) {
	c.slots = min(c.slots, slot)
	if slot == 0 {
		c.groups[group], c.attached[group], c.program = nil, false, onlyFirst()
	}
}

func (c *cbpf) steer(open []int, weights []uint8) error {
	err := c.install(open, weights)
	if weights != nil && errors.Is(err, unix.ENOMEM) {
		// Kernels before 6.8 take programs of 20 KiB (net.core.optmem_max), which is some 800 weights.
		return c.install(open, nil)
	}
	return err
}

func (c *cbpf) install(open []int, weights []uint8) (err error) {
	before := c.program
	c.program, err = c.options.classic(c.slots, open, weights)
	if err != nil {
		return err
	}
	same := slices.Equal(before, c.program)
	for i, member := range c.groups {
		if member == nil || same && c.attached[i] {
			continue
		}
		err := attach(member, c.program)
		if err != nil && (c.attached[i] || c.slots > 1) {
			return err
		}
		c.attached[i] = err == nil
	}
	return nil
}

func (c *cbpf) close() {}

// attach puts the program on the whole group that member belongs to, in place of one that is there. It needs no
// privilege.
func attach(member *os.File, program classic) error {
	return control(member, func(fd int) error { return attachFD(fd, program) })
}

func attachFD(fd int, program classic) error {
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("cannot attach the steering program: %w", err)
	}
	return nil
}

// detach leaves the choice to the kernel's hash again.
func detach(member *os.File) error {
	return control(member, func(fd int) error {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
		if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // no program, no group
			return nil
		}
		return fmt.Errorf("cannot detach the steering program: %w", err)
	})
}

// found makes a group of the bound socket fd before it listens. Without it the kernel makes the group when a second
// socket joins, and nothing could be attached before that: connections would reach the second one for a moment. To
// attach a program to a socket that is not yet listening is what allocates the group; SO_REUSEPORT is taken back so that
// listen still refuses to share. Where a kernel does not play along, that moment is all that is lost.
func found(fd int) {
	if setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true) != nil {
		return
	}
	_ = attachFD(fd, onlyFirst())
	_ = setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false)
}

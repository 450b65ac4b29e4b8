package listen

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// cbpf steers by classic programs, which need no privilege: one on each group, replaced when who gets connections
// changes.
type cbpf struct {
	options  Options
	groups   []*os.File // a member of each group; nil where none has joined
	attached []bool
	program  []unix.SockFilter
}

func newCBPF(groups int, o Options) *cbpf {
	return &cbpf{options: o, groups: make([]*os.File, groups), attached: make([]bool, groups), program: pick(first(1))}
}

func (c *cbpf) kind() Kind { return KindCBPF }

func (c *cbpf) join(group, slot int, socket *os.File) error {
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
	if err := attach(c.groups[group], c.program); err != nil {
		return err
	}
	c.attached[group] = true
	return nil
}

func (c *cbpf) leave(group, slot int) {
	if slot == 0 {
		c.groups[group], c.attached[group] = nil, false
	}
}

func (c *cbpf) steer(open []int, weights []uint8) error {
	c.program = pick(open)
	for i, member := range c.groups {
		if member == nil {
			continue
		}
		err := attach(member, c.program)
		if err != nil && (c.attached[i] || len(open) > 1) {
			return err
		}
		c.attached[i] = err == nil
	}
	return nil
}

func (c *cbpf) close() {}

// loadRandom is the offset at which a program reads a random word: SKF_AD_OFF (-0x1000) + SKF_AD_RANDOM (56) of
// linux/filter.h.
const loadRandom = 0xfffff000 + 56

// pick is the program that picks one of the given sockets of a group at random, for each new connection. Where they are
// the first so many, the number drawn is the answer; else it is looked up, one comparison after the other: two
// instructions a slot, of 4,096 that a program may have.
func pick(slots []int) []unix.SockFilter {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: loadRandom},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(slots))},
	}
	if slots[len(slots)-1] != len(slots)-1 {
		for i, slot := range slots {
			program = append(program,
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(i), Jf: 1},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(slot)})
		}
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
}

// attach puts the program on the whole group that member belongs to, in place of one that is there. It needs no
// privilege.
func attach(member *os.File, program []unix.SockFilter) error {
	return control(member, func(fd int) error { return attachFD(fd, program) })
}

func attachFD(fd int, program []unix.SockFilter) error {
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
	_ = attachFD(fd, pick(first(1)))
	_ = setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false)
}

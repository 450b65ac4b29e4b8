package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/listen/bpf"
)

// cbpf steers by classic programs, which need no privilege: the same one on all groups, replaced when who gets
// connections changes. It names sockets by the kernel's number in the group, which is the order of listen: the slot, as long
// as slots are opened in order and closed last first, and no socket was shut down.
type cbpf struct {
	options  Options
	groups   []*os.File    // a member of each group; nil where none has joined
	attached []bool        // the group has a program of this steerer
	slots    int           // that have joined
	programs []bpf.Classic // by group
	number   numbering
	member   membership
}

func newCBPF(groups int, o Options) *cbpf {
	c := &cbpf{options: o, groups: make([]*os.File, groups), attached: make([]bool, groups), programs: make([]bpf.Classic, groups)}
	for i := range c.programs {
		c.programs[i] = bpf.First()
	}
	return c
}

// numbering tells how the kernel numbers the sockets of a group: the slots by their number, nil where the two are the
// same. It fails where that is not known. A nil numbering is of slots that are all in order.
type numbering func(group int) ([]int, error)

var errJumbled = errors.New("several sockets were shut down at once, so that the kernel's order of the rest is not known")

// numbering is that of the Set's groups. Set.mu is held when it is asked, as it is by a steerer.
func (s *Set) numbering(group int) ([]int, error) {
	switch g := s.groups[group]; {
	case g.jumbled:
		return nil, errJumbled
	case g.inOrder():
		return nil, nil
	default:
		return g.order, nil
	}
}

func (n numbering) of(group int) ([]int, error) {
	if n == nil {
		return nil, nil
	}
	return n(group)
}

// membership tells a socket that is in a group, by which a program is attached to all of it; nil: none listens. A nil
// membership is of groups that keep the one that has joined first.
type membership func(group int) *os.File

// membership is that of the Set's groups, asked as numbering is.
func (s *Set) membership(group int) *os.File { return s.groups[group].member() }

// of is a member of the group; joined, where no other is known.
func (m membership) of(group int, joined *os.File) *os.File {
	if m != nil {
		if f := m(group); f != nil {
			return f
		}
	}
	return joined
}

func (c *cbpf) kind() Kind { return KindCBPF }

func (c *cbpf) join(group, slot int, socket *os.File) error {
	c.slots = max(c.slots, slot+1)
	if c.groups[group] != nil {
		return c.keepOut(group)
	}
	c.groups[group] = socket
	// Where the kernel makes no group of a single socket, the second one's turn is early enough.
	_ = c.keepOut(group)
	return nil
}

// keepOut sees to it that the group has a program: those who join it are not in it.
func (c *cbpf) keepOut(group int) error {
	if c.attached[group] || c.groups[group] == nil {
		return nil
	}
	err := attach(c.member.of(group, c.groups[group]), c.programs[group])
	c.attached[group] = err == nil
	return err
}

func (c *cbpf) leave(group, slot int) {
	c.slots = min(c.slots, slot)
	if slot == 0 {
		c.groups[group], c.attached[group], c.programs[group] = nil, false, bpf.First()
	}
}

// renew has the next steer attach a program in any case: by a socket that is certainly a member.
func (c *cbpf) renew(group, slot int, socket *os.File) error {
	c.slots = max(c.slots, slot+1)
	c.groups[group], c.attached[group] = socket, false
	return nil
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
	for i, member := range c.groups {
		if member == nil {
			continue
		}
		numbers, err := c.number.of(i)
		if err != nil {
			return err
		}
		choice := bpf.Choice{Policy: c.options.Policy, Slots: c.slots, Open: open, Weights: weights, CPU: c.options.CPU, Numbers: numbers}
		program, err := choice.Classic()
		if err != nil {
			return err
		}
		if c.attached[i] && slices.Equal(program, c.programs[i]) {
			continue
		}
		c.programs[i] = program
		err = attach(c.member.of(i, member), program)
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
func attach(member *os.File, program bpf.Classic) error {
	return ipc.Control(member, func(fd int) error { return attachFD(fd, program) })
}

func attachFD(fd int, program bpf.Classic) error {
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("cannot attach the steering program: %w", err)
	}
	return nil
}

// detach leaves the choice to the kernel's hash again.
func detach(member *os.File) error {
	return ipc.Control(member, func(fd int) error {
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
	_ = attachFD(fd, bpf.First())
	_ = setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false)
}

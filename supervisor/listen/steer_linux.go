package listen

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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

// steer puts the program on the whole group that member belongs to, in place of one that is there. It needs no
// privilege.
func steer(member *os.File, slots []int) error {
	return control(member, func(fd int) error { return attach(fd, slots) })
}

func attach(fd int, slots []int) error {
	program := pick(slots)
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("cannot attach the steering program: %w", err)
	}
	return nil
}

// unsteer leaves the choice to the kernel's hash again.
func unsteer(member *os.File) error {
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
	_ = attach(fd, first(1))
	_ = setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false)
}

package listen

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// newSocket makes a socket that is close-on-exec, and wraps it while it is still blocking: os.NewFile puts a
// non-blocking one into the runtime's poller, and then each connection to any slot would wake this process. It becomes
// non-blocking afterwards, as the workers that accept on it expect.
func newSocket(domain int, name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.SetNonblock(fd, true); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot make a socket non-blocking: %w", err)
	}
	return f, nil
}

// duplicate returns a second descriptor of f, close-on-exec and, unlike that of ipc.Duplicate, outside of the poller: a
// blocking placeholder is wrapped, and the socket then takes its number.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate %s: %w", f.Name(), err)
	}
	d := os.NewFile(uintptr(fd), f.Name())
	if err := ipc.Control(f, func(from int) error { return replace(from, fd) }); err != nil {
		d.Close()
		return nil, fmt.Errorf("cannot duplicate %s: %w", f.Name(), err)
	}
	return d, nil
}

func setFlag(fd, level, option int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return unix.SetsockoptInt(fd, level, option, value)
}

// pollQueue returns 1 if a connection waits to be accepted, else 0.
func pollQueue(fd int) (int, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

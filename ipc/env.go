package ipc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FromEnv opens the channel that the master left to this process. It returns (nil, nil) when there is none: the program was
// started by hand.
//
// The variable is removed from the environment in any case, so that children of the worker do not take the channel for
// theirs, and the descriptor is closed on exec. A descriptor that is not a connected Unix stream socket is left alone: it
// belongs to another program.
func FromEnv() (*Conn, error) {
	f, err := inherited(EnvChannel, "channel")
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close() // newConn duplicates it
	c, err := newConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", EnvChannel, err)
	}
	return c, nil
}

// inherited is the connected Unix stream socket whose number the variable holds; nil without the variable.
func inherited(variable, name string) (*os.File, error) {
	v, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(variable)
	fd, err := strconv.Atoi(v)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("cannot use %s=%q: the number of an inherited descriptor, at least 3, is needed", variable, v)
	}
	if err := verifyChannel(fd); err != nil {
		return nil, fmt.Errorf("cannot use %s=%d: %w", variable, fd, err)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// ScrubEnv returns env without the variables that were meant for this process alone: a child that found them would
// notify the wrong supervisor, take descriptors that it does not have, or believe itself to be an upgrade in progress.
// What Tine tells a worker is added afterwards. env is left as it is.
func ScrubEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return private(key)
	})
}

func private(key string) bool {
	switch key {
	case "TINE_RUNTIME_DIR": // a tine that a worker or a hook calls looks where this one is
		return false
	case "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES", // systemd: sockets
		"NOTIFY_SOCKET", "MAINPID", "MAINPIDFILE", "FDSTORE", // systemd: readiness
		"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID": // Node: a parent's channel
		return true
	}
	return strings.HasPrefix(key, "TINE_") || strings.HasPrefix(key, "WATCHDOG_") || strings.HasPrefix(key, "TABLEFLIP_")
}

func verifyChannel(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("descriptor %d is not open (%w): was the variable inherited from another process?", fd, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("descriptor %d is %s, a Unix stream socket is needed: was the variable inherited from another process?", fd, fileKind(uint32(st.Mode)))
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("descriptor %d: getsockname: %w", fd, err)
	}
	if _, ok := sa.(*unix.SockaddrUnix); !ok {
		return fmt.Errorf("descriptor %d is a network socket (%T), a Unix stream socket is needed", fd, sa)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return fmt.Errorf("descriptor %d: SO_TYPE: %w", fd, err)
	}
	if kind != unix.SOCK_STREAM {
		return fmt.Errorf("descriptor %d is a Unix socket of type %d, a stream socket (%d) is needed", fd, kind, unix.SOCK_STREAM)
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return fmt.Errorf("descriptor %d is a Unix stream socket without a peer: %w", fd, err)
	}
	return nil
}

func fileKind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFDIR:
		return "a folder"
	case unix.S_IFCHR:
		return "a character device"
	case unix.S_IFBLK:
		return "a block device"
	}
	return fmt.Sprintf("a file of mode %#o", mode)
}

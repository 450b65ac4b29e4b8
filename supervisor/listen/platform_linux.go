package listen

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pollHangup is what a socket reports whose reading side was shut down.
const pollHangup = unix.POLLRDHUP

// balances: the kernel spreads connections over the sockets of a group.
const balances = true

func replace(from, to int) error { return unix.Dup3(from, to, unix.O_CLOEXEC) }

// backlog is the longest accept queue that the system allows: while a slot's worker is replaced, connections wait there.
func backlog() int {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 {
			return n
		}
	}
	return unix.SOMAXCONN
}

// multipath reports whether a socket speaks Multipath TCP. One that does can be in no group that is steered: the kernel takes
// no program for it.
func multipath(fd int) bool {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && protocol == unix.IPPROTO_MPTCP
}

// tcpQueue reads the length of the accept queue: tcpi_unacked of a listening socket.
func tcpQueue(fd int) (int, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return int(info.Unacked), nil
}

// dropFilter takes a filter off that decides which packets a socket gets. One that was locked stays.
func dropFilter(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }

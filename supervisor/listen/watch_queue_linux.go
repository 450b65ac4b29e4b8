package listen

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// queueReader reads how many connections wait in sockets, without allocating. It is not safe for concurrent use.
type queueReader struct {
	// info is the start of struct tcp_info of linux/tcp.h: 8 bytes and 5 words up to tcpi_unacked, which is the length
	// of a listening socket's accept queue, at word 6.
	info [8]uint32
	size uint32
	poll [1]unix.PollFd
	deaf bool // a socket that was read listens no more; the reader sets it to false before
}

const tcpListen = 10 // TCP_LISTEN of linux/tcp_states.h, as tcpi_state has it

// queue is the length of a TCP socket's accept queue; 0 if it cannot be read. The call never blocks: the kernel takes no
// lock for a socket that listens.
func (r *queueReader) queue(fd int) int {
	r.size = uint32(unsafe.Sizeof(r.info))
	r.info[6] = 0
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&r.info)), uintptr(unsafe.Pointer(&r.size)), 0)
	if errno != 0 {
		return 0
	}
	if state := *(*uint8)(unsafe.Pointer(&r.info)); state != tcpListen {
		r.deaf = true
		return 0
	}
	return int(r.info[6])
}

// waits reports whether anything waits in a socket of any kind.
func (r *queueReader) waits(fd int) bool {
	r.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | pollHangup}
	n, err := unix.Poll(r.poll[:], 0)
	if err != nil || n <= 0 {
		return false
	}
	if r.poll[0].Revents&(unix.POLLHUP|pollHangup) != 0 {
		r.deaf = true
		return false
	}
	return true
}

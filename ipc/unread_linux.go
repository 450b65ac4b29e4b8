package ipc

import "golang.org/x/sys/unix"

// unread is how much of what was written the peer has not read yet, with the kernel's overhead; 0 is exact.
func (c *Conn) unread() int {
	rc, err := c.sock.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = rc.Control(func(fd uintptr) {
		if v, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = v
		}
	})
	return n
}

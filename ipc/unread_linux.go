package ipc

import "golang.org/x/sys/unix"

// unread is how much of what was written the peer has not read yet, with the kernel's overhead; 0 is exact.
func (c *Conn) unread() (n int) {
	_ = Control(c.sock, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return n
}

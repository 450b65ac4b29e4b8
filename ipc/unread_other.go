//go:build !linux

package ipc

// unread cannot be asked here: large values in flight are bounded by the socket's buffer only.
func (c *Conn) unread() int { return 0 }

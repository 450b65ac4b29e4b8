//go:build !linux

package edge

import "net"

// unsent is how many bytes the other side of a connection has not taken yet; -1: that is not known.
func unsent(net.Conn) int { return -1 }

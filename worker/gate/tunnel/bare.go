package tunnel

import (
	"crypto/tls"
	"net"
)

// Bare is the connection that a tunnel waits at: below wrappers that have nothing of it in hand, such as that of package edge, but not
// below TLS.
func Bare(c net.Conn) net.Conn {
	for {
		below, ok := c.(interface{ NetConn() net.Conn })
		if _, encrypted := c.(*tls.Conn); !ok || encrypted {
			return c
		}
		c = below.NetConn()
	}
}

package control

import (
	"fmt"
	"net"
	"os"
)

// peer is the process at the other end of a connection, as the kernel knows it: as it
// was when it connected or listened.
type peer struct {
	uid int
	pid int // 0: unknown
}

// peerOf asks the kernel.
func peerOf(conn *net.UnixConn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("cannot tell who is at the other end: %w", err)
	}
	var p peer
	var failed error
	if err := raw.Control(func(fd uintptr) { p, failed = peerOfFD(int(fd)) }); err != nil {
		failed = err
	}
	if failed != nil {
		return peer{}, fmt.Errorf("cannot tell who is at the other end: %w", failed)
	}
	return p, nil
}

// mayAsk says whether the peer may steer a master of this process's user.
func (p peer) mayAsk() bool { return p.uid == 0 || p.uid == os.Geteuid() }

// mayAnswer says whether a client of this process's user may believe the peer.
func (p peer) mayAnswer() bool { return p.mayAsk() || os.Geteuid() == 0 }

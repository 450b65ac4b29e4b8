//go:build unix && !linux

package handover

import "golang.org/x/sys/unix"

// Datagrams come whole too. What they do not tell is the end of the peer: tableflip does.
const packetSocket = unix.SOCK_DGRAM

package handover

import "golang.org/x/sys/unix"

const packetSocket = unix.SOCK_SEQPACKET

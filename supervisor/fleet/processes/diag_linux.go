package processes

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Of linux/inet_diag.h, and the states of linux/tcp_states.h.
const (
	diagRequestBytes  = 56 // struct inet_diag_req_v2
	diagAnswerBytes   = 72 // struct inet_diag_msg
	diagProtocol      = 3  // INET_DIAG_REQ_PROTOCOL
	stateEstablished  = 1
	stateListen       = 10
	unixListens       = 1 << 16 // __SO_ACCEPTCON
	unixConnected     = 3       // SS_CONNECTED
	protocolMultipath = 262     // IPPROTO_MPTCP
)

// sockets are those of this network namespace.
func sockets(proc procfs.FS) (network, error) {
	seen := network{listening: map[uint64]string{}, connections: map[string]int{}}
	take := func(state uint8, local netip.AddrPort, inode uint64) {
		if state == stateListen {
			seen.listening[inode] = local.String()
		} else {
			seen.connections[local.String()]++
		}
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := dump(family, unix.IPPROTO_TCP, 1<<stateListen|1<<stateEstablished, take); err != nil {
			return network{}, err
		}
		// A program's socket for Multipath TCP listens through an inner one, which is all that the table of TCP has. Its connections are there.
		if err := dump(family, protocolMultipath, 1<<stateListen, take); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			return network{}, err
		}
	}
	table, err := proc.NetUNIX()
	if err != nil {
		return network{}, err
	}
	for _, row := range table.Rows {
		switch {
		case row.Path == "":
		case row.Flags&unixListens != 0:
			seen.listening[row.Inode] = row.Path
		case row.State == unixConnected:
			seen.connections[row.Path]++ // the accepting side has the path
		}
	}
	return seen, nil
}

// dump calls take for each socket of a family and protocol that is in one of the states.
func dump(family uint8, protocol uint32, states uint32, take func(state uint8, local netip.AddrPort, inode uint64)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	rq := make([]byte, unix.SizeofNlMsghdr+diagRequestBytes+8)
	order.PutUint32(rq[0:], uint32(len(rq)))
	order.PutUint16(rq[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(rq[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := rq[unix.SizeofNlMsghdr:]
	body[0], body[1] = family, uint8(protocol)
	order.PutUint32(body[4:], states)
	attribute := body[diagRequestBytes:] // a protocol above 255 does not fit elsewhere
	order.PutUint16(attribute[0:], 8)
	order.PutUint16(attribute[2:], diagProtocol)
	order.PutUint32(attribute[4:], protocol)
	if err := unix.Sendto(fd, rq, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for buf := make([]byte, 64<<10); ; {
		// The kernel writes each part of a table when the one before is read: there is nothing to wait for.
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		all, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, m := range all {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return nil
			case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
				return unix.Errno(-int32(order.Uint32(m.Data)))
			case m.Header.Type != unix.SOCK_DIAG_BY_FAMILY || len(m.Data) < diagAnswerBytes:
				return unix.EPROTO
			}
			d := m.Data
			length := 16
			if d[0] == unix.AF_INET {
				length = 4
			}
			ip, _ := netip.AddrFromSlice(d[8 : 8+length])
			take(d[1], netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(d[4:])), uint64(order.Uint32(d[68:])))
		}
	}
}

package listen

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// holdersOf finds who listens on an endpoint: the inodes of the sockets in the way from the kernel's table, then the
// processes that have one open. Other users' processes are visible to root only.
func holdersOf(ep endpoint) *InUseError {
	e := &InUseError{Address: ep.String()}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		rows(table, func(f []string) {
			if len(f) < 10 || f[3] != "0A" { // listening
				return
			}
			ip, port, ok := parseLocal(f[1])
			if !ok || port != ep.port || !ep.conflicts(ip) {
				return
			}
			inodes[f[9]] = true
			if uid, err := strconv.Atoi(f[7]); err == nil && !slices.Contains(e.uids, uid) {
				e.uids = append(e.uids, uid)
			}
		})
	}
	var complete bool
	e.Holders, complete = processes(inodes)
	e.late = !complete
	return e
}

func holdersOfPath(path string) *InUseError {
	e := &InUseError{Address: path}
	inodes := map[string]bool{}
	rows("/proc/net/unix", func(f []string) {
		if len(f) >= 8 && strings.Join(f[7:], " ") == path {
			inodes[f[6]] = true
		}
	})
	var complete bool
	e.Holders, complete = processes(inodes)
	e.late = !complete
	return e
}

func rows(path string, each func(fields []string)) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		each(strings.Fields(s.Text()))
	}
}

// parseLocal reads an address of the kernel's tables: words of 32 bits in the machine's order as hex, here little-endian,
// then the port.
func parseLocal(s string) (ip netip.Addr, port uint16, ok bool) {
	host, tail, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(tail, 16, 16)
	if err != nil {
		return ip, 0, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil {
		return ip, 0, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok = netip.AddrFromSlice(raw)
	return ip, uint16(n), ok
}

// conflicts reports whether a socket that listens on ip is in the way of this endpoint.
func (ep endpoint) conflicts(ip netip.Addr) bool {
	switch {
	case ep.dual:
		return true
	case ep.ip.Is4() && ip.Is6() && !ip.Is4In6():
		return ip.IsUnspecified() // dual-stack
	case ep.ip.Is6() && ip.Is4():
		return false
	}
	return ep.ip.IsUnspecified() || ip.IsUnspecified() || ep.ip.WithZone("").Unmap() == ip.Unmap()
}

// processes finds the processes that have one of the sockets open. complete is false if it ran out of time.
func processes(inodes map[string]bool) (found []Holder, complete bool) {
	if len(inodes) == 0 {
		return nil, true
	}
	links := make(map[string]bool, len(inodes))
	for inode := range inodes {
		links[fmt.Sprintf("socket:[%s]", inode)] = true
	}
	deadline := time.Now().Add(lookTimeout)
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil, true
	}
	complete = true
	for _, p := range all {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if time.Now().After(deadline) {
			complete = false
			break
		}
		folder := filepath.Join("/proc", p.Name())
		if holds(filepath.Join(folder, "fd"), links) {
			name, _ := os.ReadFile(filepath.Join(folder, "comm"))
			found = append(found, Holder{PID: pid, Name: strings.TrimSpace(string(name))})
		}
	}
	slices.SortFunc(found, func(a, b Holder) int { return a.PID - b.PID })
	return found, complete
}

// holds reports whether one of the descriptors in a folder of /proc is one of links.
func holds(folder string, links map[string]bool) bool {
	f, err := os.Open(folder)
	if err != nil {
		return false // another user's
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return false
	}
	found := false
	_ = ipc.Control(f, func(fd int) error {
		var link [64]byte // longer ones are not of sockets
		for _, name := range names {
			n, err := unix.Readlinkat(fd, name, link[:])
			if err == nil && links[string(link[:n])] {
				found = true
				break
			}
		}
		return nil
	})
	return found
}

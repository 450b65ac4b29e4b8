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
)

// lookTimeout bounds the search for the holders of an address on a machine with many processes.
const lookTimeout = 300 * time.Millisecond

// holdersOf finds who listens on an endpoint: the inodes of the sockets in the way from the kernel's table, then the
// processes that have one open. Other users' processes are visible to root only.
func holdersOf(ep endpoint) (holders []Holder, uids []int) {
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
			if uid, err := strconv.Atoi(f[7]); err == nil && !slices.Contains(uids, uid) {
				uids = append(uids, uid)
			}
		})
	}
	return processes(inodes), uids
}

func holdersOfPath(path string) (holders []Holder, uids []int) {
	inodes := map[string]bool{}
	rows("/proc/net/unix", func(f []string) {
		if len(f) >= 8 && strings.Join(f[7:], " ") == path {
			inodes[f[6]] = true
		}
	})
	return processes(inodes), nil
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

// conflicts tells whether a socket that listens on ip is in the way of this endpoint.
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

func processes(inodes map[string]bool) (found []Holder) {
	if len(inodes) == 0 {
		return nil
	}
	links := make(map[string]bool, len(inodes))
	for inode := range inodes {
		links[fmt.Sprintf("socket:[%s]", inode)] = true
	}
	deadline := time.Now().Add(lookTimeout)
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, p := range all {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if time.Now().After(deadline) {
			break
		}
		folder := filepath.Join("/proc", p.Name())
		fds, err := os.ReadDir(filepath.Join(folder, "fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(folder, "fd", fd.Name()))
			if err == nil && links[link] {
				name, _ := os.ReadFile(filepath.Join(folder, "comm"))
				found = append(found, Holder{PID: pid, Name: strings.TrimSpace(string(name))})
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b Holder) int { return a.PID - b.PID })
	return found
}

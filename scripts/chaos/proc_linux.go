package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sourceAddress gives each client a source address of its own, and with it all ports:
// the clients do not run out of ports for connections in TIME_WAIT.
func sourceAddress(client int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, 1, byte(client + 1)})
}

// processesOf returns the PIDs that execute the file, also if another file has replaced it on disk.
func processesOf(file string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if exeOf(pid) == file {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func readUsage(pid int) (h usage, err error) {
	h.pid = pid
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return h, err
	}
	h.files = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSuffix(strings.TrimSpace(value), " kB")
		switch name {
		case "VmRSS":
			h.rss, err = strconv.Atoi(value)
		case "Threads":
			h.threads, err = strconv.Atoi(value)
		}
		if err != nil {
			return h, err
		}
	}
	return h, nil
}

// victim is a process that an action signals. It is held by a pidfd, so that no signal
// reaches another process that got its number.
type victim struct {
	pid int
	fd  int
}

// openVictim returns nil if the process has gone meanwhile.
func openVictim(pid int, exe string) *victim {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	v := &victim{pid: pid, fd: fd}
	// Only now is it sure that the number still stands for one of them.
	if exeOf(pid) != exe {
		v.close()
		return nil
	}
	return v
}

func (v *victim) close() { unix.Close(v.fd) }

func (v *victim) signal(s syscall.Signal) { _ = unix.PidfdSendSignal(v.fd, s, nil, 0) }

var errGone = errors.New("it had gone by itself")

// kill stops the worker, reads from the kernel which connections to the port it has, calls meanwhile unless it is nil,
// kills the worker, and waits until nothing of it is left.
func (v *victim) kill(port uint16, meanwhile func()) (*kill, error) {
	v.signal(syscall.SIGSTOP)
	err := until(2*time.Second, v.isStopped)
	var held map[netip.AddrPort]bool
	if err == nil {
		held, err = v.connections(port)
	}
	if err != nil {
		v.signal(syscall.SIGCONT)
		return nil, err
	}
	if meanwhile != nil {
		meanwhile()
	}
	d := &kill{pid: v.pid, from: time.Now(), held: held}
	v.signal(syscall.SIGKILL)
	v.wait(5 * time.Second)
	d.until = time.Now()
	return d, nil
}

// wait returns when nothing of the process is left: a pidfd is readable when the last thread has gone, and with it the last
// holder of the descriptors.
func (v *victim) wait(limit time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if n, _ := unix.Poll(poll, 100); n == 1 {
			return true
		}
	}
	return false
}

// isStopped returns nil when every thread is stopped: from then on the worker neither accepts nor answers.
func (v *victim) isStopped() error {
	dir := fmt.Sprintf("/proc/%d/task", v.pid)
	threads, err := os.ReadDir(dir)
	if err != nil || len(threads) == 0 {
		return errGone
	}
	for _, t := range threads {
		stat, err := os.ReadFile(filepath.Join(dir, t.Name(), "stat"))
		if err != nil {
			continue // a thread that has just ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		switch rest[:1] {
		case "T":
		case "Z", "X":
			return errGone
		default:
			return fmt.Errorf("thread %s is %s after SIGSTOP", t.Name(), rest[:1])
		}
	}
	return nil
}

// connections returns the clients' ends of the process's connections to the port.
func (v *victim) connections(port uint16) (map[netip.AddrPort]bool, error) {
	inodes := map[uint32]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", v.pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, errGone
	}
	for _, f := range files {
		link, err := os.Readlink(filepath.Join(dir, f.Name()))
		if err != nil {
			continue
		}
		if n, ok := strings.CutPrefix(link, "socket:["); ok {
			inode, err := strconv.ParseUint(strings.TrimSuffix(n, "]"), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("cannot read the inode in %q: %w", link, err)
			}
			inodes[uint32(inode)] = true
		}
	}
	held := map[netip.AddrPort]bool{}
	err = eachConnection(port, func(inode uint32, peer netip.AddrPort) {
		if inodes[inode] {
			held[peer] = true
		}
	})
	return held, err
}

// eachConnection asks the kernel (sock_diag) for all IPv4 connections to a local port
// that a process may hold; the many in TIME_WAIT are left out.
func eachConnection(port uint16, f func(inode uint32, peer netip.AddrPort)) error {
	fail := func(err error) error { return fmt.Errorf("cannot list the connections to port %d: %w", port, err) }
	const (
		listen   = 1 << 10
		timeWait = 1 << 6
	)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	req := make([]byte, 16+56) // nlmsghdr, inet_diag_req_v2
	ne := binary.NativeEndian
	ne.PutUint32(req[0:], uint32(len(req)))
	ne.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	ne.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req[16], req[17] = unix.AF_INET, unix.IPPROTO_TCP
	ne.PutUint32(req[20:], ^uint32(listen|timeWait)) // states
	binary.BigEndian.PutUint16(req[24:], port)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail(err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return fail(err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return fail(err)
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return nil
			case m.Header.Type == unix.NLMSG_ERROR:
				return fail(syscall.Errno(-int32(ne.Uint32(m.Data))))
			case len(m.Data) >= 72 && binary.BigEndian.Uint16(m.Data[4:]) == port:
				addr := netip.AddrFrom4([4]byte(m.Data[24:28]))
				f(ne.Uint32(m.Data[68:]), netip.AddrPortFrom(addr, binary.BigEndian.Uint16(m.Data[6:])))
			}
		}
	}
}

package keeper

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// StartTime is when the process was started, in clock ticks since boot: field 22 of /proc/PID/stat, proc(5). Together with
// the PID it names one process for as long as the machine runs.
func StartTime(pid int) (uint64, error) {
	p, err := readStat(pid)
	return p.start, err
}

// stat is what /proc/PID/stat says.
type stat struct {
	parent, group int
	start         uint64
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, fmt.Errorf("cannot learn about process %d: %w", pid, err)
	}
	// PID (NAME) STATE PPID PGRP ...: the name may hold anything, a parenthesis too.
	i := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[i+1:])
	const parent, group, start = 1, 2, 19
	if i < 0 || len(fields) <= start {
		return stat{}, fmt.Errorf("cannot learn about process %d: %q", pid, text)
	}
	var s stat
	var errs [3]error
	s.parent, errs[0] = strconv.Atoi(string(fields[parent]))
	s.group, errs[1] = strconv.Atoi(string(fields[group]))
	s.start, errs[2] = strconv.ParseUint(string(fields[start]), 10, 64)
	for _, err := range errs {
		if err != nil {
			return stat{}, fmt.Errorf("cannot learn about process %d: %w", pid, err)
		}
	}
	return s, nil
}

// child is one of this process's children.
type child struct{ pid, group int }

// children are all of this process, the ended ones that are not reaped included. An error: there is no /proc.
func children() ([]child, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	own := os.Getpid()
	var list []child
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil && ofMachine(err) {
			return nil, err // else it would be taken for gone
		}
		if err == nil && s.parent == own {
			list = append(list, child{pid, s.group})
		}
	}
	return list, nil
}

// nextEnded returns the next child that has ended, and does not reap it. 0: none now. ECHILD: there is no child.
func nextEnded() (pid int, err error) {
	var info unix.Siginfo
	for {
		err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	// si_pid begins the union that follows three ints and is aligned as a pointer.
	const word = unsafe.Sizeof(uintptr(0))
	const at = (12 + word - 1) &^ (word - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), at))), nil
}

// reap takes the exit of a child that has ended.
func reap(pid int) (w syscall.WaitStatus, err error) {
	for {
		_, err = syscall.Wait4(pid, &w, 0, nil)
		if err != syscall.EINTR {
			return w, err
		}
	}
}

// readable reports whether the process of a pidfd has ended.
func readable(pidfd int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
	return n > 0
}

// isChild reports whether the process of a pidfd is ours to reap.
func isChild(pidfd int) bool {
	return unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil
}

// strangerGrace is how long the parent of a master that is not our child has to reap it, for us to learn how it ended.
const strangerGrace = 100 * time.Millisecond

// exitOfStranger returns how a process ended that another process has reaped: PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15. It
// waits a moment for that, and reports whether it came.
func exitOfStranger(pidfd int) (st status, reaped bool) {
	poll := []unix.PollFd{{Fd: int32(pidfd)}} // nothing asked for, so it waits for POLLHUP: reaped
	if n, _ := unix.Poll(poll, 5); n < 1 || poll[0].Revents&unix.POLLHUP == 0 {
		return status{lost: true}, false
	}
	// struct pidfd_info of Linux 6.13, the shortest there is: the kernel goes by the size in the number.
	var info struct {
		mask, cgroup uint64
		ids          [11]uint32
		exit         int32
	}
	const getInfo = unix.PIDFD_GET_INFO&^(0x3fff<<16) | unix.PIDFD_INFO_SIZE_VER0<<16
	info.mask = unix.PIDFD_INFO_EXIT
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), getInfo, uintptr(unsafe.Pointer(&info)))
	if errno != 0 || info.mask&unix.PIDFD_INFO_EXIT == 0 {
		return status{lost: true}, true
	}
	return statusOf(syscall.WaitStatus(info.exit)), true
}

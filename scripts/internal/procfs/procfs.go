//go:build linux

// Package procfs reads what Linux tells in /proc of processes that bench has started. Of a process that has gone each function
// returns the zero value.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Children are the PIDs of the processes directly below pid.
func Children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, f := range files {
		text, _ := os.ReadFile(f)
		for field := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// Name is the name of the program, as /proc/PID/comm has it.
func Name(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// Below are all descendants of pid.
func Below(pid int) []int {
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		pids := Children(queue[0])
		all, queue = append(all, pids...), append(queue, pids...)
	}
	return all
}

// OpenFiles is how many descriptors a process has.
func OpenFiles(pid int) int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files)
}

// IsZombie says whether a process has ended and its parent has not waited for it.
func IsZombie(pid int) bool { return strings.HasPrefix(Status(pid, "State"), "Z") }

// Ticks is the CPU time of a process as /proc/PID/stat has it, in hundredths of a second.
func Ticks(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(text, ')')
	f := strings.Fields(string(text[i+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// Memory is a field of /proc/PID/smaps_rollup, such as Pss, in bytes.
func Memory(pid int, field string) (bytes int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		bytes += Kilobytes(line, field)
	}
	return bytes
}

// Kilobytes is what a line like "Pss:  1234 kB" says of the field, in bytes; 0: it is about another one.
func Kilobytes(line, field string) int64 {
	rest, ok := strings.CutPrefix(line, field+":")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
	return n << 10
}

// CPUTime is what all threads of pid have run so far, to the nanosecond: the ticks of /proc/PID/stat are too coarse.
func CPUTime(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			sum += time.Duration(n)
		}
	}
	return sum
}

// Status is a field of /proc/PID/status, such as State, as it is written there.
func Status(pid int, field string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// RSS is the resident memory of a process, in bytes.
func RSS(pid int) int64 { return Kilobytes("VmRSS: "+Status(pid, "VmRSS"), "VmRSS") }

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory reads a field of /proc/PID/status, in bytes.
func memory(pid int, field string) int64 {
	var sum int64
	lines(fmt.Sprintf("/proc/%d/status", pid), func(line string) { sum += kilobytes(line, field) })
	return sum
}

// pss is the sum over pids: a page that several share counts once in all.
func pss(pids []int) (sum int64) {
	for _, pid := range pids {
		lines(fmt.Sprintf("/proc/%d/smaps_rollup", pid), func(line string) { sum += kilobytes(line, "Pss") })
	}
	return sum
}

// mapped is the part of pss that is in sealed memory files.
func mapped(pids []int) (sum int64) {
	for _, pid := range pids {
		inside := false
		lines(fmt.Sprintf("/proc/%d/smaps", pid), func(line string) {
			if first, _, _ := strings.Cut(line, " "); strings.Contains(first, "-") && !strings.HasSuffix(first, ":") {
				inside = strings.Contains(line, "memfd:")
			} else if inside {
				sum += kilobytes(line, "Pss")
			}
		})
	}
	return sum
}

func kilobytes(line, field string) int64 {
	rest, ok := strings.CutPrefix(line, field+":")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
	return n << 10
}

func lines(path string, f func(string)) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		f(s.Text())
	}
}

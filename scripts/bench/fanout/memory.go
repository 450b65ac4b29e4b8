//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// pss is the sum over pids: a page that several share counts once in all.
func pss(pids []int) (sum int64) {
	for _, pid := range pids {
		sum += procfs.Memory(pid, "Pss")
	}
	return sum
}

// mapped is the part of pss that is in sealed memory files.
func mapped(pids []int) (sum int64) {
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
		inside := false
		for line := range strings.Lines(string(text)) {
			if first, _, _ := strings.Cut(line, " "); strings.Contains(first, "-") && !strings.HasSuffix(first, ":") {
				inside = strings.Contains(line, "memfd:")
			} else if inside {
				sum += procfs.Kilobytes(line, "Pss")
			}
		}
	}
	return sum
}

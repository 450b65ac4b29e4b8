package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func systemFiles() (limit, value string) { return "fs.file-max", readWord("/proc/sys/fs/file-max") }

// processLimit finds out which of the limits on the number of processes is the one that was reached: of those that are
// set, the control group's counts only if it is full.
func processLimit() (limit, value string) {
	if folder := fullPidsGroup("/proc/self/cgroup", "/sys/fs/cgroup"); folder != "" {
		return "pids.max of " + folder, readWord(filepath.Join(folder, "pids.max"))
	}
	if value := softLimit(unix.RLIMIT_NPROC); value != "unlimited" {
		return "RLIMIT_NPROC", value
	}
	return "kernel.threads-max", readWord("/proc/sys/kernel/threads-max")
}

// fullPidsGroup is the nearest control group of this process, or above it, that has as many processes as it may.
func fullPidsGroup(membership, root string) string {
	text, err := os.ReadFile(membership)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		// "0::/path" for version 2, "7:pids:/path" for version 1
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var top string
		switch {
		case fields[1] == "":
			top = root
		case fields[1] == "pids":
			top = filepath.Join(root, "pids")
		default:
			continue
		}
		for path := filepath.Clean("/" + fields[2]); ; path = filepath.Dir(path) {
			folder := filepath.Join(top, path)
			most, err1 := strconv.Atoi(readWord(filepath.Join(folder, "pids.max")))
			now, err2 := strconv.Atoi(readWord(filepath.Join(folder, "pids.current")))
			if err1 == nil && err2 == nil && now >= most {
				return folder
			}
			if path == "/" {
				break
			}
		}
	}
	return ""
}

func readWord(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

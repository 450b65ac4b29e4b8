package host

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MaxWorkers is the most workers that one app can have, however many CPUs there are.
const MaxWorkers = 1024

// The limits of the control groups that a process is in, of version 1, 2 or both at once, as a container or a service
// manager sets them. Each group up to the root that is visible counts: the lowest limit is the one that holds.

// cgroupCPUs returns how many CPUs' worth of time the groups allow.
func cgroupCPUs(root fs.FS) (float64, bool) {
	least := math.Inf(1)
	for _, dir := range cgroupDirs(root, "cpu") {
		var quota, period float64
		if dir.v2 {
			fields := strings.Fields(readSmall(root, path.Join(dir.path, "cpu.max")))
			if len(fields) != 2 {
				continue
			}
			quota, period = parseLimit(fields[0]), parseLimit(fields[1])
		} else {
			quota = parseLimit(readSmall(root, path.Join(dir.path, "cpu.cfs_quota_us")))
			period = parseLimit(readSmall(root, path.Join(dir.path, "cpu.cfs_period_us")))
		}
		if quota > 0 && period > 0 {
			least = min(least, quota/period)
		}
	}
	return least, !math.IsInf(least, 1)
}

// cgroupMemory returns how many bytes the groups allow.
func cgroupMemory(root fs.FS) (int64, bool) {
	// Version 1 says "unlimited" with the largest multiple of a page.
	const unlimited = 1 << 62
	least := float64(unlimited)
	for _, dir := range cgroupDirs(root, "memory") {
		file := "memory.limit_in_bytes"
		if dir.v2 {
			file = "memory.max"
		}
		if limit := parseLimit(readSmall(root, path.Join(dir.path, file))); limit > 0 {
			least = min(least, limit)
		}
	}
	return int64(least), least < unlimited
}

// parseLimit reads a number. For anything else ("max", "-1") it returns 0, which means no limit.
func parseLimit(text string) float64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return float64(n)
}

type cgroupDir struct {
	path string // in root
	v2   bool
}

// cgroupDirs returns the folder of the process's group for a controller, and all above it that are visible.
func cgroupDirs(root fs.FS, controller string) []cgroupDir {
	var dirs []cgroupDir
	groups := readSmall(root, "proc/self/cgroup")
	for line := range strings.Lines(readSmall(root, "proc/self/mountinfo")) {
		// 36 35 98:0 /root /mount/point options - type source superoptions
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		v2 := right[0] == "cgroup2"
		if !v2 && (right[0] != "cgroup" || !slices.Contains(strings.Split(right[2], ","), controller)) {
			continue
		}
		group, ok := groupOf(groups, controller, v2)
		if !ok {
			continue
		}
		// In a container the mount may show only a part of the tree, at the group itself or above it.
		mount, shown := strings.TrimPrefix(left[4], "/"), left[3]
		below := "/"
		if rest, inside := strings.CutPrefix(group, strings.TrimSuffix(shown, "/")); inside && (rest == "" || rest[0] == '/') {
			below = path.Clean("/" + rest)
		}
		for {
			dirs = append(dirs, cgroupDir{path.Join(mount, below), v2})
			if below == "/" {
				break
			}
			below = path.Dir(below)
		}
	}
	return dirs
}

// groupOf finds the process's group in /proc/self/cgroup: lines of ID:CONTROLLERS:PATH, without controllers in version 2.
func groupOf(groups, controller string, v2 bool) (string, bool) {
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if v2 && parts[0] == "0" && parts[1] == "" || !v2 && slices.Contains(strings.Split(parts[1], ","), controller) {
			// A group outside of the namespace shows as /../..: only its root is visible.
			return path.Clean("/" + parts[2]), true
		}
	}
	return "", false
}

func readSmall(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// workersFor is how many workers use cpus CPUs that may be shared by quota: 1.5 CPUs are too many for one.
func workersFor(cpus int, quota float64, limited bool) int {
	if limited {
		cpus = min(cpus, int(math.Ceil(quota)))
	}
	return min(max(cpus, 1), MaxWorkers)
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kin is a process of the run.
type kin struct {
	pid, parent, threads int
	state                string // of /proc/PID/stat: R, S, D, T, Z ...
	name, exe            string // exe is without the " (deleted)" of a file that was replaced
}

// familyOf returns the descendants of pid. The keeper is the subreaper: a process that loses its parent becomes the keeper's
// child, so that none is missed.
func familyOf(pid int) []kin {
	children := map[int][]kin{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if k, ok := readKin(n); ok {
			children[k.parent] = append(children[k.parent], k)
		}
	}
	var all []kin
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, k := range children[queue[0]] {
			all = append(all, k)
			queue = append(queue, k.pid)
		}
	}
	return all
}

func readKin(pid int) (k kin, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return k, false
	}
	head, rest, _ := strings.Cut(string(stat), " (")
	i := strings.LastIndex(rest, ") ")
	f := strings.Fields(rest[max(i+2, 0):])
	if i < 0 || len(f) < 18 || head == "" {
		return k, false
	}
	k = kin{pid: pid, state: f[0], name: rest[:i]}
	k.parent, _ = strconv.Atoi(f[1])
	k.threads, _ = strconv.Atoi(f[17])
	k.exe = exeOf(pid)
	return k, true
}

func exeOf(pid int) string {
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return strings.TrimSuffix(exe, " (deleted)")
}

func (k kin) String() string {
	return fmt.Sprintf("%s[%d] %s child of %d", k.name, k.pid, k.state, k.parent)
}

// masters are the processes of Tine below the keeper, in order of their numbers: one, or two in an upgrade. A child between
// fork and exec looks like its parent, but has one thread.
func (m *master) masters() (pids []int) {
	for _, k := range familyOf(m.keeper()) {
		if m.isTine(k.exe) && k.threads > 1 && k.state != "Z" {
			pids = append(pids, k.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// household returns an error as long as there is any process but one master and its workers, all alive.
func (m *master) household() error {
	masters, workers := 0, 0
	var errs []error
	for _, k := range familyOf(m.keeper()) {
		switch {
		case k.state == "Z":
			errs = append(errs, fmt.Errorf("a zombie: %v", k))
		case m.isTine(k.exe):
			masters++
		case k.exe == m.demo:
			workers++
		default:
			errs = append(errs, fmt.Errorf("a process that is neither master nor worker: %v", k))
		}
	}
	if masters != 1 || workers != m.lastWanted() {
		errs = append(errs, fmt.Errorf("%d masters and %d workers, want 1 and %d", masters, workers, m.lastWanted()))
	}
	return errors.Join(errs...)
}

// openFiles returns how many descriptors a process has.
func openFiles(pid int) int {
	files, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(files)
}

// openFilesBy counts the descriptors of a process by kind, for the report on one that has too many.
func openFilesBy(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, _ := os.ReadDir(dir)
	kinds := map[string]int{}
	for _, f := range files {
		link, _ := os.Readlink(filepath.Join(dir, f.Name()))
		if kind, _, ok := strings.Cut(link, ":["); ok {
			link = kind
		}
		kinds[link]++
	}
	return list(kinds)
}

// keptNames are the names of the files that the keeper had given the master when it was started.
func keptNames(pid int) string {
	env, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	for kv := range strings.SplitSeq(string(env), "\x00") {
		if v, ok := strings.CutPrefix(kv, "LISTEN_FDNAMES="); ok {
			names := map[string]int{}
			for name := range strings.SplitSeq(v, ":") {
				names[name]++
			}
			return list(names)
		}
	}
	return "nothing"
}

// waiting returns where in the kernel the threads of a process wait, for the report on one that should work and does not.
func waiting(pid int) string {
	var b strings.Builder
	dir := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, _ := os.ReadDir(dir)
	for _, t := range threads {
		read := func(name string) string {
			text, _ := os.ReadFile(filepath.Join(dir, t.Name(), name))
			return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", " ")
		}
		_, state, _ := strings.Cut(read("stat"), ") ")
		fmt.Fprintf(&b, "\n    thread %s %.1s in %s, syscall %s, stack %s", t.Name(), state, read("wchan"), read("syscall"), read("stack"))
	}
	return b.String()
}

package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// spoilt are the ways in which the file of the master's program cannot be executed, and what the log says of it.
var spoilt = []struct {
	name  string
	spoil func(t *testing.T, path string)
	says  string
}{
	{"Removed", func(t *testing.T, path string) { check(t, os.Remove(path)) }, "no such file or directory; executing /proc/self/exe instead"},
	{"Busy", func(t *testing.T, path string) {
		// Another file of that name, as the one that runs cannot be written. Held open as by cp.
		replaceFile(t, path, 0o755, "")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		check(t, err)
		t.Cleanup(func() { f.Close() })
	}, "text file busy; executing /proc/self/exe instead"},
	{"Broken", func(t *testing.T, path string) { replaceFile(t, path, 0o755, "\x00 no program") }, "exec format error; executing /proc/self/exe instead"},
	{"NotExecutable", func(t *testing.T, path string) { replaceFile(t, path, 0o644, "\x7fELF") }, "permission denied; executing /proc/self/exe instead"},
	{"Folder", func(t *testing.T, path string) {
		check(t, os.Remove(path))
		check(t, os.Mkdir(path, 0o755))
	}, "permission denied; executing /proc/self/exe instead"},
	{"BelowAFile", func(t *testing.T, path string) {
		check(t, os.RemoveAll(filepath.Dir(path)))
		check(t, os.WriteFile(filepath.Dir(path), nil, 0o644))
		t.Cleanup(func() { os.Remove(filepath.Dir(path)) })
	}, "not a directory; executing /proc/self/exe instead"},
	{"Cut", func(t *testing.T, path string) { // half a file, as of a cp onto a full disk
		text, err := os.ReadFile(path)
		check(t, err)
		replaceFile(t, path, 0o755, string(text[:8192]))
	}, "without a word: executing /proc/self/exe"},
	{"AnotherProgram", func(t *testing.T, path string) {
		replaceFile(t, path, 0o755, "#!/bin/sh\nexit 3\n")
	}, "without a word: executing /proc/self/exe"},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replaceFile puts another file in the place of the one at path, as mv does.
func replaceFile(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	check(t, os.WriteFile(path+".new", []byte(text), mode))
	check(t, os.Rename(path+".new", path))
}

// A master comes back, with its files, whatever has become of the file of its program: below a keeper that was one from the
// start, and below a master that has become one.
func TestSpoiltProgram(t *testing.T) {
	for _, s := range spoilt {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			t.Run("Keeper", func(t *testing.T) {
				t.Parallel()
				path := copied(t)
				h := newHouse(t, Options{Command: path, Fallback: "/proc/self/exe"}, nil)
				first := h.ready()
				first.do("store web 2")
				first.do("barrier")
				s.spoil(t, path)
				first.kill()
				next := h.ready()
				next.want("inherited", "web=web/0,web/1")
				h.wantLog(s.says)
				next.send("stop 0")
				h.wantCode(0)
			})
			t.Run("MasterThatBecameOne", func(t *testing.T) {
				t.Parallel()
				path := copied(t)
				h := newHouse(t, Options{Command: path, Fallback: "/proc/self/exe"}, nil)
				first := h.ready()
				first.do("store web 2")
				first.kill()
				master := h.ready() // has inherited them
				worker := master.spawn(h, "worker")
				h.succeeded = true
				h.cmd.Process.Kill()
				<-h.ended
				t.Cleanup(func() { syscall.Kill(master.pid, syscall.SIGKILL) })
				s.spoil(t, path)
				master.send("succeed " + path)
				master.wantGone()
				next := h.ready()
				next.want("inherited", "web=web/0,web/1")
				h.wantLog(s.says)
				if stat, err := readStat(worker.pid); err != nil || stat.parent != master.pid {
					t.Errorf("the worker's parent is %d (%v), want %d", stat.parent, err, master.pid)
				}
				eventually.True(t, "the process list shows the name of the program", func() bool {
					return strings.HasPrefix(filepath.Base(os.Args[0]), nameOf(t, next.pid))
				})
				next.send("stop 0")
				next.wantGone()
				eventually.True(t, "the keeper has ended", func() bool {
					return errors.Is(syscall.Kill(master.pid, 0), syscall.ESRCH) || stateOf(master.pid) == "Z"
				})
			})
		})
	}
}

func nameOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	check(t, err)
	return strings.TrimSpace(string(text))
}

// stateOf is that of a process in /proc/PID/stat.
func stateOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(1, len(rest))]
}

// A keeper at the limit of what it may have open, or of the processes of its user, starts a master as soon as there is room.
func TestNoRoomForAStart(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	first := h.ready()
	first.do("store web 40")
	first.do("barrier")
	limit := limitFiles(t, h.cmd.Process.Pid, 40)
	first.kill()
	h.wantLog("starting another in 400ms")
	if !strings.Contains(h.log.text(), "too many open files") && !strings.Contains(h.log.text(), "bad file descriptor") {
		t.Error("the log does not say why")
	}
	limitFiles(t, h.cmd.Process.Pid, limit)
	next := h.next("master")
	next.do("notify READY=1")
	next.send("stop 0")
	h.wantCode(0)
}

// limitFiles sets RLIMIT_NOFILE of another process, and returns what it was.
func limitFiles(t *testing.T, pid int, soft uint64) (before uint64) {
	t.Helper()
	var old unix.Rlimit
	check(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old))
	check(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: soft, Max: old.Max}, nil))
	return old.Cur
}

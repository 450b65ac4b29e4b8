package proc

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// leastPinned is the least number of the descriptor of a pinned file: in the child the numbers below become those of
// [Options.Files] before the program is executed.
const leastPinned = 64

// Pin opens the file or folder at path so that it can be started, or started in, when it has another name or none. The
// descriptor is good for nothing else: it takes no permission to read.
func Pin(path string) (*os.File, FileID, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		var high int
		high, err = ipc.DuplicateFD(fd, leastPinned)
		unix.Close(fd)
		fd = high
	}
	if err != nil {
		return nil, FileID{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	id, err := IDOfFile(f)
	if err != nil {
		f.Close()
		return nil, FileID{}, err
	}
	return f, id, nil
}

// Repin makes of a descriptor that another process has passed on one as Pin does.
func Repin(f *os.File) (*os.File, FileID, error) {
	fd, err := ipc.Descriptor(f)
	if err != nil {
		return nil, FileID{}, err
	}
	high, err := ipc.DuplicateFD(fd, leastPinned)
	if err != nil {
		return nil, FileID{}, err
	}
	again := os.NewFile(uintptr(high), f.Name())
	id, err := IDOfFile(again)
	if err != nil {
		again.Close()
		return nil, FileID{}, err
	}
	return again, id, nil
}

func idOf(info os.FileInfo) FileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return FileID{}
	}
	id := FileID{Dev: uint64(st.Dev), Ino: st.Ino}
	if !info.IsDir() {
		id.Size, id.ModTime = info.Size(), info.ModTime().UnixNano()
	}
	return id
}

// pinnedPath is the path of a pinned file as the child sees it before it executes anything.
func pinnedPath(f *os.File) (string, error) {
	fd, err := ipc.Descriptor(f)
	if err != nil {
		return "", err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

// places are the path and the folder to start c with: those of its pinned files where these are not at their paths any more.
func (c Command) places() (path, dir string, err error) {
	path, dir = c.Path, c.Dir
	if f := c.Pinned.Folder; f != nil && !leadsTo(dir, f) {
		if dir, err = pinnedPath(f); err != nil {
			return "", "", err
		}
	}
	if f := c.Pinned.Program; f != nil && !leadsTo(path, f) {
		if path, err = pinnedPath(f); err != nil {
			return "", "", err
		}
	}
	return path, dir, nil
}

func leadsTo(path string, f *os.File) bool {
	want, err := IDOfFile(f)
	if err != nil {
		return true // then nothing better is known
	}
	got, err := IDOf(path)
	return err == nil && got.Same(want)
}

// ranAnother reports whether the process that was started from c.Path is of another file than the pinned one: the file was
// replaced between the look at it and its execution.
func (c Command) ranAnother(pid int) bool {
	f := c.Pinned.Program
	if f == nil || leadsTo(c.Path, f) {
		return false // it did not change, or back and forth within microseconds
	}
	return !leadsTo("/proc/"+strconv.Itoa(pid)+"/exe", f)
}

// endAtOnce kills a process that must not run, and reaps it.
func endAtOnce(pid int, pidfd *int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if *pidfd >= 0 {
		syscall.Close(*pidfd)
		*pidfd = -1
	}
}

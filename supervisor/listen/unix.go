package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// lockTimeout bounds the wait for another process that is opening a socket in the same folder.
const lockTimeout = 500 * time.Millisecond

// socketFile is the file of a Unix-domain socket that this process has made.
type socketFile struct {
	path string
	dev  uint64
	ino  uint64
}

// listenUnix opens a Unix-domain socket. A file that a dead process left there is replaced. The folder is locked
// meanwhile, so that of two that find the same dead file one does not remove what the other has just made.
func listenUnix(a Address) (_ *os.File, _ socketFile, err error) {
	path, err := filepath.Abs(a.Addr)
	if err != nil {
		return nil, socketFile{}, err
	}
	if len(path) > maxPath {
		return nil, socketFile{}, fmt.Errorf("the path %s has %d bytes, a socket's may have %d", path, len(path), maxPath)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, socketFile{}, err
	}
	defer unlock()

	f, err := newSocket(unix.AF_UNIX, "listener "+path)
	if err != nil {
		return nil, socketFile{}, err
	}
	var file socketFile
	err = ipc.Control(f, func(fd int) error {
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		if errors.Is(err, unix.EADDRINUSE) {
			if err := removeDead(path); err != nil {
				return err
			}
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			return err
		}
		file = identify(path)
		// No client can connect before listen, so none can under a mode that is too wide.
		if err := a.own(path); err != nil {
			return err
		}
		return unix.Listen(fd, backlog())
	})
	if err != nil {
		file.remove()
		f.Close()
		return nil, socketFile{}, err
	}
	return f, file, nil
}

// own gives the file that was just bound its owner and mode.
func (a Address) own(path string) error {
	uid, gid, err := a.owner()
	if err != nil {
		return err
	}
	f, err := openSocketFile(path)
	if err != nil {
		return err
	}
	defer f.close()
	if uid >= 0 || gid >= 0 {
		if err := f.chown(uid, gid); err != nil {
			return a.explainOwner(err)
		}
	}
	return f.chmod(a.mode())
}

// removeDead removes the file of a socket that no process listens on. Everything else stays and is an error.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file is there that is not a socket")
	}
	f, err := newSocket(unix.AF_UNIX, "probe "+path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = ipc.Control(f, func(fd int) error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	if errors.Is(err, unix.ECONNREFUSED) {
		return os.Remove(path)
	}
	// Connected, or the queue is full (EAGAIN), or it is not ours to connect to (EACCES): a process listens.
	used := holdersOfPath(path) // by name: also those whose socket was there before
	if err == nil {
		h, ok := answers(f)
		// This process may have made the socket and not have it any more, but its workers.
		if ok && (h.PID != os.Getpid() || slices.Contains(used.Holders, h)) {
			used.Holders = []Holder{h}
		}
	}
	return used
}

func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if errors.Is(err, fs.ErrPermission) {
		return func() {}, nil // a folder may be written to that may not be read
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot make a socket in the folder %s, make that first: %w", folder, unix.ENOENT)
	}
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockTimeout)
	for {
		err := ipc.Control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(deadline):
			time.Sleep(5 * time.Millisecond)
		case errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("another process has held the lock on folder %s for %s", folder, lockTimeout)
		default:
			// A file system without locks: then only the rare race of two is not covered.
			return func() { f.Close() }, nil
		}
	}
}

func identify(path string) socketFile {
	info, err := os.Lstat(path)
	if err != nil {
		return socketFile{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return socketFile{}
	}
	return socketFile{path: path, dev: uint64(st.Dev), ino: st.Ino}
}

// remove removes the file unless it has become another socket's.
func (f socketFile) remove() {
	if f.path != "" && identify(f.path) == f {
		os.Remove(f.path)
	}
}

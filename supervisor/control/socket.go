package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxSocketPath = 103 // bytes: what sockaddr_un holds on every system that there is, without its zero
	knockTimeout  = time.Second
)

// ErrInUse says that another process listens at the path.
var ErrInUse = errors.New("another master is using it")

// socket is a listening socket and the lock that makes it the only one of its path.
type socket struct {
	*SharedListener
	lock     *os.File // nil: of an abstract name, which one socket alone can have
	path     string
	made     fs.FileInfo // the socket's file; nil: it was not there any more
	released bool        // to another master, whose file and lock it is
	end      func() error
}

// there says whether the file is still this socket's: it may have been removed, and
// another master may have made its own since.
func (s *socket) there() bool {
	if isAbstract(s.path) {
		return true
	}
	now, err := os.Lstat(s.path)
	return err == nil && s.made != nil && os.SameFile(s.made, now)
}

func (s *socket) unix() *net.UnixListener { return s.listener.(*net.UnixListener) }

// listen makes the socket at path, 0600, and its folder, 0700, if there is none. What
// a dead master left there is removed: the kernel has dropped its lock, and refuses
// connections to it. It needs the lock because two masters could both find the same
// dead socket, and the second one would remove the new socket of the first.
func listen(path string, keeper int) (*socket, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("cannot listen on %s: its path has %d bytes, and a socket's may have %d", path, len(path), maxSocketPath)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	lock, err := takeLock(path+lockSuffix, keeper)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	l, err := replaceSocket(path)
	if err != nil {
		dropLock(lock)
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	made, err := os.Lstat(path)
	if err != nil {
		l.Close()
		dropLock(lock)
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	shared, err := Share(l)
	if err != nil {
		l.Close()
		dropLock(lock)
		return nil, err
	}
	s := &socket{SharedListener: shared, lock: lock, path: path, made: made}
	s.end = sync.OnceValue(s.closeOnce)
	return s, nil
}

// relisten is listen where a socket was before. Of folders it makes the last one at most, and that only in one that is safe:
// what belongs to others, as /run/user/1000 does, they make again.
func relisten(path string, keeper int) (*socket, error) {
	dir := filepath.Dir(path)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err = checkFolder(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
		}
	}
	return listen(path, keeper)
}

func isAbstract(path string) bool { return strings.HasPrefix(path, "@") }

// listenAbstract listens on an abstract name that cannot be guessed and that needs no folder. Clients learn it from the claim of
// the master. The peers are checked as on every socket.
func listenAbstract() (*socket, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	path := fmt.Sprintf("@tine-control-%d-%s", os.Getpid(), strings.ToLower(rand.Text()))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	shared, err := Share(l)
	if err != nil {
		l.Close()
		return nil, err
	}
	s := &socket{SharedListener: shared, path: path}
	s.end = sync.OnceValue(s.closeOnce)
	return s, nil
}

// adopt makes a socket of what the master before this one has handed on, for path. If
// that one listened elsewhere, its socket is removed.
func adopt(path string, keeper int, listener, lock *os.File) (*socket, error) {
	shared, err := Inherit(listener)
	if err != nil {
		return nil, err
	}
	n, err := unix.FcntlInt(lock.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		shared.Close()
		return nil, fmt.Errorf("cannot take over the lock of %s: %w", path, err)
	}
	at := shared.Addr().String()
	s := &socket{SharedListener: shared, lock: os.NewFile(uintptr(n), at+lockSuffix), path: at}
	s.end = sync.OnceValue(s.closeOnce)
	s.made, _ = os.Lstat(at) // an error: it was removed
	if at != path {
		s.Close()
		return nil, fmt.Errorf("the master before this one listened at %s", at)
	}
	sign(s.lock, keeper)
	return s, nil
}

// Close removes the socket, if it is still there, and then the lock. It may be called
// more than once.
func (s *socket) Close() error { return s.end() }

func (s *socket) closeOnce() error {
	s.unix().SetUnlinkOnClose(!s.released && s.there())
	err := s.SharedListener.Close() // removes its file
	if s.released && s.lock != nil {
		s.lock.Close()
	} else {
		dropLock(s.lock)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// makeFolder makes dir, or checks that only its owner could replace what is in it, and
// that the owner is root or our user: in the temporary folder any user may have made it.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkFolder(dir)
}

func checkFolder(dir string) error {
	for _, stat := range []func(string) (fs.FileInfo, error){os.Lstat, os.Stat} {
		info, err := stat(dir)
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("the folder %s belongs to user %d", dir, st.Uid)
		}
		if info.IsDir() && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("the folder %s can be changed by others (mode %03o)", dir, info.Mode().Perm())
		}
	}
	return nil
}

// takeLock locks the file at path until it is closed or the process ends.
func takeLock(path string, keeper int) (*os.File, error) {
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			defer f.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("cannot lock %s: %w", path, err)
			}
			if holder, _ := signedBy(f); holder != 0 {
				return nil, fmt.Errorf("%w (pid %d)", ErrInUse, holder)
			}
			return nil, ErrInUse
		}
		// The process that held the lock before may have removed the file since it was opened.
		mine, errMine := f.Stat()
		there, errThere := os.Stat(path)
		if errMine != nil || errThere != nil || !os.SameFile(mine, there) {
			f.Close()
			continue
		}
		sign(f, keeper)
		return f, nil
	}
	return nil, fmt.Errorf("cannot lock %s: it is removed again and again", path)
}

// sign writes into a lock the PID of its holder, and that of the keeper which brings the
// holder back. Only the text of an error and the time until it comes depend on it, so a
// full disk is not an error.
func sign(lock *os.File, keeper int) {
	// Over what is there, of the same length, so that it is never half there for a reader.
	if n, err := lock.WriteAt(fmt.Appendf(nil, "%-10d %-10d\n", os.Getpid(), keeper), 0); err == nil {
		_ = lock.Truncate(int64(n))
	}
}

// signedBy reads what sign has written; 0: nothing.
func signedBy(lock *os.File) (holder, keeper int) {
	text := make([]byte, 40)
	n, _ := lock.ReadAt(text, 0)
	_, _ = fmt.Sscan(string(text[:n]), &holder, &keeper)
	return holder, keeper
}

// comesBack reports whether a keeper lives that brings the master of the socket at path
// back: the master has not ended in order, which would have removed its lock.
func comesBack(path string) bool {
	lock, err := os.OpenFile(path+lockSuffix, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	_, keeper := signedBy(lock)
	return keeper > 0 && !errors.Is(unix.Kill(keeper, 0), unix.ESRCH)
}

// dropLock removes the file before it lets go of it, so that no other process holds a
// lock on a file that is no longer there without noticing.
func dropLock(f *os.File) {
	if f == nil {
		return
	}
	if mine, err := f.Stat(); err == nil {
		if there, err := os.Stat(f.Name()); err == nil && os.SameFile(mine, there) {
			os.Remove(f.Name())
		}
		f.Close()
	}
}

func replaceSocket(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is something that is not a socket")
	default:
		conn, err := net.DialTimeout("unix", path, knockTimeout)
		if err == nil {
			conn.Close()
			return nil, ErrInUse
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	// The mode is set before the socket has a name where the system can do that. Where
	// it cannot, there is a moment in which only the check of the peer holds.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

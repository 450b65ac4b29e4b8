package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// openedFile is the file of a socket that was just bound, by a descriptor: where others may write to its folder, what is
// at its path a moment later may be a link to something else, and root must not give that away.
type openedFile struct {
	fd   int
	path string
}

func openSocketFile(path string) (openedFile, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return openedFile{}, err
	}
	f := openedFile{fd, path}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.close()
		return openedFile{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() || st.Nlink != 1 {
		f.close()
		return openedFile{}, fmt.Errorf("another process has just replaced the file of the socket at %s", path)
	}
	return f, nil
}

func (f openedFile) close() { unix.Close(f.fd) }

func (f openedFile) chown(uid, gid int) error {
	return unix.Fchownat(f.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

func (f openedFile) chmod(mode fs.FileMode) error {
	err := unix.Fchmodat(unix.AT_FDCWD, filepath.Join("/proc/self/fd", strconv.Itoa(f.fd)), uint32(mode.Perm()), 0)
	if errors.Is(err, unix.ENOENT) { // no /proc
		return os.Chmod(f.path, mode)
	}
	return err
}

// answers is the process that began to listen where f is connected to, if it is there.
func answers(f *os.File) (h Holder, ok bool) {
	_ = ipc.Control(f, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil || cred.Pid <= 0 {
			return err
		}
		name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(int(cred.Pid)), "comm"))
		h, ok = Holder{PID: int(cred.Pid), Name: strings.TrimSpace(string(name))}, err == nil
		return nil
	})
	return h, ok
}

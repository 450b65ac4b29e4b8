package logs

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A rotated file is named after the time of its rotation in UTC, to the millisecond: web-2006-01-02T15-04-05.000.log, and
// with .gz behind that when it is compressed.
const (
	backupTime   = "2006-01-02T15-04-05.000"
	backupZipped = ".gz"
)

// backup is a rotated file.
type backup struct {
	path   string // without .gz
	zipped bool
	at     time.Time
}

// backupPath returns where the file at path is moved to at a time.
func backupPath(path string, at time.Time) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + at.UTC().Format(backupTime) + ext
}

// backups returns the rotated files of the log file at path, the newest first. A folder that cannot be read has none.
func backups(path string) (all []backup) {
	dir, base := filepath.Split(path)
	ext := filepath.Ext(base)
	entries, _ := os.ReadDir(filepath.Clean(dir + "."))
	for _, e := range entries {
		name, zipped := strings.CutSuffix(e.Name(), backupZipped)
		stamp, ours := strings.CutPrefix(strings.TrimSuffix(name, ext), strings.TrimSuffix(base, ext)+"-")
		at, err := time.Parse(backupTime, stamp)
		if ours && err == nil && strings.HasSuffix(name, ext) && !e.IsDir() {
			all = append(all, backup{dir + name, zipped, at})
		}
	}
	slices.SortStableFunc(all, func(a, b backup) int { return b.at.Compare(a.at) })
	return all
}

// moveAside renames the log file at path, which is old, to a name with a time in it, and opens a new one at path with the
// same mode and owner. After an error old is at its path as before.
func moveAside(path string, old *os.File, at time.Time) (*os.File, error) {
	info, err := old.Stat()
	if err != nil {
		return nil, err
	}
	aside := backupPath(path, at)
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := createLike(info, path, os.O_APPEND)
	if err != nil {
		_ = os.Rename(aside, path)
		return nil, err
	}
	return file, nil
}

// createLike creates a file, if there is none, with the mode and, as far as this process may set it, the owner of another.
func createLike(info os.FileInfo, path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|how, info.Mode().Perm())
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(st.Uid), int(st.Gid))
	}
	return file, nil
}

// tidier compresses the rotated files of one log file and removes those that are too many. It works in a goroutine that ends
// when there is nothing to do, or with close. What cannot be done it tries again after the next rotation.
type tidier struct {
	path string
	rotation

	mu      sync.Mutex
	running bool
	again   bool          // something was rotated while it ran
	stop    chan struct{} // closed by close
	closed  bool
	work    sync.WaitGroup
}

func newTidier(path string, r rotation) *tidier {
	return &tidier{path: path, rotation: r, stop: make(chan struct{})}
}

// start begins to tidy up, or again when it has finished what it does. It does not wait.
func (t *tidier) start() {
	if t.keep == 0 && !t.compress {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again = true; t.running || t.closed {
		return
	}
	t.running = true
	t.work.Go(func() {
		for t.goOn() {
			t.tidy()
		}
	})
}

func (t *tidier) goOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = t.again && !t.closed
	t.again = false
	return t.running
}

// close ends the goroutine and waits for it. A file that it is compressing stays as it was, and is compressed later.
func (t *tidier) close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.stop)
	}
	t.mu.Unlock()
	t.work.Wait()
}

func (t *tidier) tidy() {
	kept := map[string]bool{}
	for _, b := range backups(t.path) {
		if kept[b.path] = true; t.keep > 0 && len(kept) > t.keep {
			_ = os.Remove(b.path)
			_ = os.Remove(b.path + backupZipped)
			_ = os.Remove(beingZipped(b.path))
		} else if t.compress && !b.zipped {
			_ = t.zip(b.path)
		}
	}
}

// beingZipped is where the compressed content of a rotated file is written. The dot keeps it out of patterns such as web-*.
func beingZipped(path string) string {
	dir, base := filepath.Split(path)
	return dir + "." + base + backupZipped + ".tmp"
}

// zip puts a compressed file in the place of a rotated one. At each moment one of the two is complete. The lock is for another
// tidier of the same file, which a change of the config or an upgrade brings: it leaves the file alone.
func (t *tidier) zip(path string) (err error) {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := syscall.Flock(int(from.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(now, info) {
		return err // the other one has compressed it
	}
	unfinished := beingZipped(path)
	to, err := createLike(info, unfinished, os.O_TRUNC|syscall.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(unfinished)
		}
	}()
	w := gzip.NewWriter(to)
	_, err = io.Copy(w, untilStopped{from, t.stop})
	if err = errors.Join(err, w.Close(), to.Close()); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path+backupZipped); err != nil {
		return err
	}
	return os.Remove(path)
}

// untilStopped reads until stop is closed.
type untilStopped struct {
	io.Reader
	stop <-chan struct{}
}

var errStopped = errors.New("the log file is being closed")

func (r untilStopped) Read(p []byte) (int, error) {
	select {
	case <-r.stop:
		return 0, errStopped
	default:
		return r.Reader.Read(p)
	}
}

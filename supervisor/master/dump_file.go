package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

// keepDumps is how many dumps of one app are kept, so that an app which stalls every minute does not fill a disk.
const keepDumps = 20

// dumpFolder is where the dumps of an app go.
type dumpFolder struct {
	path string
	own  bool // made by Tine in a folder that every user can write to: it must belong to this user
}

// dumpFolder is where the config of an app says, else beside the log file, else a
// folder of this user's own in the temporary folder.
func (l *loop) dumpFolder(c config.App) dumpFolder {
	switch {
	case c.DumpDir != "":
		return dumpFolder{path: c.DumpDir}
	case l.logConfig.File != "":
		return dumpFolder{path: filepath.Dir(l.logConfig.File)}
	}
	return dumpFolder{path: filepath.Join(os.TempDir(), "tine-"+strconv.Itoa(os.Getuid())), own: true}
}

// dumpTime is the time in a file's name. It always has the same length, so that names sort by time.
const dumpTime = "20060102T150405.000"

// write keeps a dump in a file that only this user can read, and removes the oldest
// ones of the same app. of says which worker it is.
func (d dumpFolder) write(app, of string, at time.Time, text []byte) (path string, err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return "", fmt.Errorf("cannot make the folder for dumps: %w", err)
	}
	if err := d.check(); err != nil {
		return "", err
	}
	path = filepath.Join(d.path, "dump-"+app+"-"+at.Format(dumpTime)+"-"+of+".txt")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot write a dump: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return "", fmt.Errorf("cannot write a dump: %w", err)
	}
	return path, d.thinOut(app)
}

// check refuses a folder that another user may have put there: stacks show arguments of functions, and with them secrets.
func (d dumpFolder) check() error {
	if !d.own {
		return nil
	}
	info, err := os.Lstat(d.path)
	if err != nil {
		return fmt.Errorf("cannot use the folder for dumps: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("cannot use %s for dumps: it is no folder", d.path)
	case ok && int(st.Uid) != os.Getuid():
		return fmt.Errorf("cannot use the folder %s for dumps: it belongs to user %d", d.path, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("cannot use the folder %s for dumps: its mode is %04o instead of 0700", d.path, info.Mode().Perm())
	}
	return nil
}

// thinOut removes the oldest dumps of an app.
func (d dumpFolder) thinOut(app string) error {
	dumps, err := filepath.Glob(filepath.Join(d.path, "dump-"+app+"-????????T??????.???-slot*.txt"))
	if err != nil {
		return fmt.Errorf("cannot look for old dumps: %w", err)
	}
	slices.Sort(dumps)
	var errs []error
	for _, path := range dumps[:max(len(dumps)-keepDumps, 0)] {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

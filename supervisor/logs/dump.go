package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// keepDumps is how many dumps of one app are kept, so that an app which stalls every minute does not fill a disk.
const keepDumps = 20

// DumpFolder is where the dumps of an app go. Its methods are safe for any goroutine, and may wait for a disk.
type DumpFolder struct {
	path string
	own  bool // made by Tine in a folder that every user can write to: it must belong to this user
}

// DumpFolder is the folder of an app that has dumpDir in its config; "": that of the log file. Without both it is a folder of this
// user's own in the temporary folder.
func (l *Logs) DumpFolder(dumpDir string) DumpFolder {
	switch {
	case dumpDir != "":
		return DumpFolder{path: dumpDir}
	case l.path != "":
		return DumpFolder{path: filepath.Dir(l.path)}
	}
	return DumpFolder{path: filepath.Join(os.TempDir(), "tine-"+strconv.Itoa(os.Getuid())), own: true}
}

// dumpTime is the time in a file's name. It always has the same length, so that names sort by time.
const dumpTime = "20060102T150405.000"

// Write keeps a dump in a new file that only this user can read, and removes the oldest ones of the same app. of is the worker, in the
// name of the file: slotN-workerN-pidN. With an error the path may be there nevertheless: old dumps could not be removed.
func (d DumpFolder) Write(app, of string, at time.Time, text []byte) (path string, err error) {
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
func (d DumpFolder) check() error {
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
		return fmt.Errorf("cannot use %s for dumps: it is not a folder", d.path)
	case ok && int(st.Uid) != os.Getuid():
		return fmt.Errorf("cannot use the folder %s for dumps: it belongs to user %d", d.path, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("cannot use the folder %s for dumps: its mode is %04o instead of 0700", d.path, info.Mode().Perm())
	}
	return nil
}

// thinOut removes the oldest dumps of an app.
func (d DumpFolder) thinOut(app string) error {
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

// HeadOf is the whole lines within the first most bytes of text, and how much is missing.
func HeadOf(text []byte, most int) string {
	if len(text) <= most {
		return string(text)
	}
	head := text[:most]
	if i := bytes.LastIndexByte(head, '\n'); i > 0 {
		head = head[:i+1]
	}
	return string(head) + fmt.Sprintf("... %d bytes more in the file\n", len(text)-len(head))
}

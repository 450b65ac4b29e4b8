package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// checkFileEvery is the interval at which a write checks that the path still leads to the open file.
	checkFileEvery = time.Second
	// rotateAgain is the wait after a rotation that failed.
	rotateAgain = time.Minute
	// rotationApart keeps the names of rotated files apart, which are their time in ms.
	rotationApart = 2 * time.Millisecond
)

// rotation says when a log file is moved aside, and how many of those stay.
type rotation struct {
	size     int64         // bytes; 0: at no size
	age      time.Duration // of the oldest line; 0: at no age
	keep     int           // 0: all
	compress bool
}

// logFile is a file that lines are appended to. It is rotated between two lines: no line is cut in two, and only a line that is
// longer than the bound makes a file longer than that. A file or a folder that is gone is made again. A logFile belongs to the
// goroutine of one sink.
type logFile struct {
	path string
	rotation
	say func(error) // called when a rotation failed, which costs no line; may be nil. It must not wait
	old *tidier     // of the rotated files

	file     *os.File    // nil: none is open
	info     os.FileInfo // of file
	size     int64       // of file
	began    time.Time   // when the first line of file was written
	cut      bool        // file ends in the middle of a line
	checked  time.Time
	rotated  time.Time // when it was tried last
	rotateAt time.Time // not before: the last attempt has failed
}

// newLogFile returns a log file that is opened at the first write, and made with its folder if it is not there.
func newLogFile(path string, r rotation, say func(error)) *logFile {
	return &logFile{path: path, rotation: r, say: say, old: newTidier(path, r)}
}

func (f *logFile) rotates() bool { return f.rotation.size > 0 || f.age > 0 }

// open opens the path to append to, and learns its size and age. If it fails, the file that is open stays in use.
func (f *logFile) open() error {
	const how = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	file, err := os.OpenFile(f.path, how, 0o640)
	if errors.Is(err, fs.ErrNotExist) { // /var/log may be empty after a boot
		if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
			return fmt.Errorf("cannot make the folder of the log file: %w", err)
		}
		file, err = os.OpenFile(f.path, how, 0o640)
	}
	if err != nil {
		return fmt.Errorf("cannot open the log file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return fmt.Errorf("cannot open the log file: %w", err)
	}
	_ = f.file.Close()
	f.file, f.info, f.size, f.checked = file, info, info.Size(), time.Now()
	f.cut, f.began = endsCut(f.path, f.size), f.checked
	if f.size > 0 && f.age > 0 {
		f.began = f.lastRotation(info.ModTime())
	}
	if f.rotates() {
		f.old.start() // what a process that was killed has not compressed
	}
	return nil
}

// endsCut reports whether a file ends in the middle of a line, as a process that is killed leaves it.
func endsCut(path string, size int64) bool {
	if size == 0 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false // it may be written but not read
	}
	defer f.Close()
	last := make([]byte, 1)
	n, _ := f.ReadAt(last, size-1)
	return n == 1 && last[0] != '\n'
}

// lastRotation returns when the current file began, which is when the one before was rotated. If there is none, it is the
// newest that the file can have begun: modified.
func (f *logFile) lastRotation(modified time.Time) time.Time {
	if all := backups(f.path); len(all) > 0 && !all[0].at.After(modified) {
		return all[0].at
	}
	return modified
}

// Reopen opens the path anew. If that fails, the file that is open stays in use.
func (f *logFile) Reopen() error { return f.open() }

// Close closes the file and ends the work on rotated ones. It waits for the piece that is being compressed.
func (f *logFile) Close() error {
	f.old.close()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Write appends whole lines.
func (f *logFile) Write(p []byte) (n int, err error) {
	if f.file != nil && time.Since(f.checked) >= checkFileEvery {
		f.check()
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	for len(p) > 0 {
		portion := p
		if f.due(len(p)) {
			portion = f.fitting(p)
			if len(portion) == 0 {
				f.rotate()
				continue
			}
		}
		m, err := f.append(portion)
		n += m
		if err != nil {
			return n, fmt.Errorf("cannot write the log file: %w", err)
		}
		p = p[len(portion):]
	}
	return n, nil
}

func (f *logFile) append(p []byte) (int, error) {
	if f.cut {
		if _, err := f.file.Write(newline); err != nil {
			return 0, err
		}
		f.size++
		f.cut = false
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	if n > 0 {
		f.cut = p[n-1] != '\n'
	}
	return n, err
}

// check closes the file if it was moved or removed, by logrotate say: the next write opens a new one at the path.
func (f *logFile) check() {
	f.checked = time.Now()
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.info) {
		return
	}
	if err != nil && !os.IsNotExist(err) {
		return // it cannot be known; the open file is still good
	}
	_ = f.file.Close()
	f.file = nil
}

// due reports whether the file is to be rotated before n more bytes are written, or some of them.
func (f *logFile) due(n int) bool {
	if f.size == 0 || time.Now().Before(f.rotateAt) {
		return f.size == 0 && f.rotation.size > 0 && int64(n) > f.rotation.size && !time.Now().Before(f.rotateAt)
	}
	return f.rotation.size > 0 && f.size+int64(n) > f.rotation.size || f.age > 0 && time.Since(f.began) >= f.age
}

// fitting returns the whole lines at the beginning of p that still belong into this file: into an empty one at least one line.
func (f *logFile) fitting(p []byte) []byte {
	if f.age > 0 && f.size > 0 && time.Since(f.began) >= f.age {
		return nil
	}
	room := f.rotation.size - f.size
	if room >= int64(len(p)) {
		return p
	}
	if room > 0 {
		if end := bytes.LastIndexByte(p[:room], '\n') + 1; end > 0 {
			return p[:end]
		}
	}
	if f.size > 0 {
		return nil
	}
	if end := bytes.IndexByte(p, '\n') + 1; end > 0 {
		return p[:end]
	}
	return p
}

// rotate moves the file aside and opens a new one. If that fails the same one is written on.
func (f *logFile) rotate() {
	if d := rotationApart - time.Since(f.rotated); d > 0 {
		time.Sleep(d)
	}
	f.rotated = time.Now()
	file, err := moveAside(f.path, f.file, f.rotated)
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err == nil {
		_ = f.file.Close()
		f.file, f.info, f.size, f.cut, f.began, f.checked = file, info, 0, false, f.rotated, f.rotated
		f.old.start()
		return
	}
	f.rotateAt = f.rotated.Add(rotateAgain)
	if f.say != nil {
		f.say(fmt.Errorf("cannot rotate the log file %s, trying again in %s: %w", f.path, rotateAgain, err))
	}
}

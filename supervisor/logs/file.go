package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

const (
	// checkFileEvery is how often it is looked whether the path still leads to the file
	// that is written.
	checkFileEvery = time.Second
	// rotateAgain is the wait after a rotation that failed, and sayAgain that between
	// two complaints.
	rotateAgain = time.Minute
	// rotationApart keeps the names of rotated files, which are their time in ms, apart.
	rotationApart = 2 * time.Millisecond

	backupTime = "2006-01-02T15-04-05.000"
)

// rotation says when a log file is moved aside, and how many of those stay.
type rotation struct {
	size     int64         // bytes; 0: at no size
	age      time.Duration // of the oldest line; 0: at no age
	keep     int           // 0: all
	compress bool
}

// logFile is a file that lines are appended to. It is rotated between two lines: none is
// cut in two, and only a line that is longer than the bound makes a file longer. A
// rotated file is named after its time in UTC, web-2006-01-02T15-04-05.000.log, and
// compressed and removed by lumberjack, in a goroutine of its own that lives as long as
// the process.
//
// A file or a folder that is gone is made again. It belongs to one sink's goroutine.
type logFile struct {
	path string
	rotation
	say func(error) // what went wrong without a line being lost; must not wait

	file     io.WriteCloser     // a *lumberjack.Logger where it rotates, else an *os.File; nil: none is open
	roller   *lumberjack.Logger // nil: it is not rotated
	info     os.FileInfo        // of the file that is open; nil: none is
	size     int64              // of it
	began    time.Time          // when it did
	cut      bool               // it ends in the middle of a line
	checked  time.Time
	rotated  time.Time
	rotateAt time.Time // not before: the last attempt has failed
}

// openLog opens a log file, and makes it and its folder if they are not there.
func openLog(path string, r rotation, say func(error)) (*logFile, error) {
	f := newLogFile(path, r, say)
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// newLogFile is openLog at the first write.
func newLogFile(path string, r rotation, say func(error)) *logFile {
	f := &logFile{path: path, rotation: r, say: say}
	if r.size > 0 || r.age > 0 {
		f.roller = &lumberjack.Logger{
			Filename: path, MaxBackups: r.keep, Compress: r.compress,
			MaxSize: math.MaxInt32, // MB: when it is time is decided here
		}
	}
	return f
}

// open makes sure that there is a file to append to, with the rights that it is to have,
// and learns its size and age.
//
// A folder that is not there is made: /var/log may be empty after a boot.
func (f *logFile) open() error {
	const how = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	file, err := os.OpenFile(f.path, how, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
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
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file = file
	if f.roller != nil {
		file.Close()
		f.file = f.roller // it is closed, and opens the path at its next write
	}
	f.info, f.size, f.cut, f.checked = info, info.Size(), endsCut(f.path, info.Size()), time.Now()
	f.began = f.checked
	if f.size > 0 && f.age > 0 {
		f.began = f.lastRotation(info.ModTime())
	}
	return nil
}

// endsCut says whether a file ends in the middle of a line: whoever wrote it was killed.
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

// lastRotation is when the file that is there began: when the one before was rotated. If
// there is none, it is the newest that the file can have begun.
func (f *logFile) lastRotation(modified time.Time) time.Time {
	ext := filepath.Ext(f.path)
	prefix := strings.TrimSuffix(f.path, ext) + "-"
	newest := time.Time{}
	names, _ := filepath.Glob(escapeGlob(prefix) + "*" + escapeGlob(ext) + "*")
	for _, name := range names {
		stamp := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, prefix), ".gz"), ext)
		if t, err := time.Parse(backupTime, stamp); err == nil && t.After(newest) {
			newest = t
		}
	}
	if newest.IsZero() || newest.After(modified) {
		return modified
	}
	return newest
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// Reopen opens the path anew. If that fails, the file that is open stays in use.
func (f *logFile) Reopen() error { return f.open() }

func (f *logFile) Close() error {
	f.info = nil
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Write appends whole lines.
func (f *logFile) Write(p []byte) (n int, err error) {
	if f.info != nil && time.Since(f.checked) >= checkFileEvery {
		f.check()
	}
	if f.info == nil {
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

// check sees whether somebody has moved or removed the file or its folder. What he has
// done with it he has meant: from here on it is another one.
func (f *logFile) check() {
	f.checked = time.Now()
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.info) {
		return
	}
	if err != nil && !os.IsNotExist(err) {
		return // it cannot be known; what is open is still good
	}
	_ = f.file.Close()
	f.info = nil
}

// due says whether n bytes more are too many for this file, or it is too old.
func (f *logFile) due(n int) bool {
	if f.size == 0 || time.Now().Before(f.rotateAt) {
		return f.size == 0 && f.rotation.size > 0 && int64(n) > f.rotation.size && !time.Now().Before(f.rotateAt)
	}
	return f.rotation.size > 0 && f.size+int64(n) > f.rotation.size || f.age > 0 && time.Since(f.began) >= f.age
}

// fitting is how much of p, in whole lines, still belongs into this file: of an empty
// one at least one line.
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

// rotate moves the file aside. If that fails the same one is written on.
func (f *logFile) rotate() {
	if d := rotationApart - time.Since(f.rotated); d > 0 {
		time.Sleep(d)
	}
	f.rotated = time.Now()
	err := f.roller.Rotate()
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(f.path); err == nil {
			f.info, f.size, f.cut, f.began, f.checked = info, 0, false, f.rotated, f.rotated
			return
		}
	}
	f.rotateAt = f.rotated.Add(rotateAgain)
	if f.say != nil {
		f.say(fmt.Errorf("cannot rotate the log file %s, trying again in %s: %w", f.path, rotateAgain, err))
	}
}

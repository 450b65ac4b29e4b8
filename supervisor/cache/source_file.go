package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

// settled is the age from which a file's modification time tells versions apart. A younger file may change again within
// the same tick of the file system's clock, so it is read again.
const settled = 2 * time.Second

// File is the source whose value is the content of a file, as it is. The file is read when it has changed: its
// modification time, its size, or which file the path names.
func File(path string) Source { return &fileSource{path: path, limit: MaxFetched} }

type fileSource struct {
	path  string
	limit int64
	info  os.FileInfo  // of the content in last; nil: read again
	last  *ipc.Payload // one reference is ours
}

func (s *fileSource) String() string { return "file: " + s.path }

func (s *fileSource) Fetch(context.Context) (*ipc.Payload, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	if s.last != nil && sameVersion(info, s.info) {
		return s.last.Retain(), nil
	}
	payload, info, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	_ = s.Close()
	if info != nil {
		s.last, s.info = payload.Retain(), info
	}
	return payload, nil
}

// read returns the content, and the file's state if it is safe to trust that an equal state means equal content.
func (s *fileSource) read() (*ipc.Payload, os.FileInfo, error) {
	// Non-blocking: opening a named pipe must not wait for its other end.
	f, err := os.OpenFile(s.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file: %s", s.path, before.Mode())
	}
	if before.Size() > s.limit {
		return nil, nil, tooLarge(s.path+" has", s.limit)
	}
	started := time.Now()
	payload, err := ipc.ReadPayload(f, s.limit)
	if errors.Is(err, ipc.ErrTooLarge) {
		return nil, nil, tooLarge(s.path+" has", s.limit)
	}
	if err != nil {
		return nil, nil, err
	}
	after, err := f.Stat()
	if err != nil || !sameVersion(before, after) || started.Sub(after.ModTime()) < settled {
		return payload, nil, nil
	}
	return payload, after, nil
}

// sameVersion reports whether two states of a path are of the same content, as far as the file system can say.
func sameVersion(a, b os.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// Close forgets the content.
func (s *fileSource) Close() error {
	if s.last != nil {
		s.last.Release()
		s.last, s.info = nil, nil
	}
	return nil
}

package keeper

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// store holds files for the next master, in the order in which they came. The same file is held once: who stores again
// what it has inherited fills nothing.
type store struct {
	max   int
	files []stored
	names int // bytes, a colon for each included

	refused refusals
}

type stored struct {
	name     string
	fd       int
	dev, ino uint64
}

// newStore holds at most max files, and no more than the limit of this process allows for starting a master with them:
// the child has each twice for a moment.
func newStore(max int) *store {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		if limit.Cur < limit.Max {
			// Go raises the limit at start, except where it was changed since.
			limit.Cur = limit.Max
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
			_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		}
	}
	return &store{max: RoomFor(max)}
}

// add stores all of the files or none, and owns them in any case.
func (s *store) add(name string, fds []int) error {
	err := s.put(name, fds)
	if err != nil {
		s.refused.add(name)
	} else {
		s.refused.remove(name)
	}
	return err
}

func (s *store) put(name string, fds []int) error {
	if len(fds) == 0 {
		return errors.New("no file came with it")
	}
	added := make([]stored, 0, len(fds))
	names := s.names
	for _, fd := range fds {
		e := stored{name: name, fd: fd}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil {
			e.dev, e.ino = uint64(st.Dev), st.Ino
		}
		if s.has(e) {
			unix.Close(fd)
			continue
		}
		added = append(added, e)
		names += len(name) + 1
	}
	if len(s.files)+len(added) > s.max || names > maxNames {
		for _, e := range added {
			unix.Close(e.fd)
		}
		if names > maxNames {
			return fmt.Errorf("the names would take %d bytes, and %d is the most: use shorter ones", names, maxNames)
		}
		return fmt.Errorf("%d more files beside %d would be too many: %d is the most", len(added), len(s.files), s.max)
	}
	s.files, s.names = append(s.files, added...), names
	return nil
}

// has reports whether the same open file is there already, under whatever name.
func (s *store) has(e stored) bool {
	return slices.ContainsFunc(s.files, func(f stored) bool { return f.dev == e.dev && f.ino == e.ino && sameFile(f.fd, e.fd) })
}

// sameFile reports whether two descriptors are duplicates. If the kernel does not tell, they are not: a file too many is
// better than one that is missing.
func sameFile(a, b int) bool {
	// Linux 6.10
	if same, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_QUERY, b); err == nil {
		return same == 1
	}
	const file = 0 // KCMP_FILE
	pid := uintptr(unix.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, file, uintptr(a), uintptr(b), 0)
	return errno == 0 && order == 0
}

// remove closes all files of the name.
func (s *store) remove(name string) (removed int) {
	s.refused.remove(name)
	kept := s.files[:0]
	for _, f := range s.files {
		if f.name != name {
			kept = append(kept, f)
			continue
		}
		unix.Close(f.fd)
		removed++
		s.names -= len(name) + 1
	}
	s.files = kept
	return removed
}

// list is what LISTEN_FDNAMES says.
func (s *store) list() string {
	var b strings.Builder
	b.Grow(s.names)
	for i, f := range s.files {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(f.name)
	}
	return b.String()
}

func (s *store) room() Room {
	r := Room{Files: len(s.files), MaxFiles: s.max, Names: s.names, MaxNames: maxNames}
	s.refused.tell(&r)
	return r
}

func (s *store) close() {
	for _, f := range s.files {
		unix.Close(f.fd)
	}
	s.files, s.names = nil, 0
}

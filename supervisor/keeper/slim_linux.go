package keeper

import (
	"bufio"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// restful is how long nothing has to happen before the keeper gives its memory back.
const restful = time.Second

// slimmer gives back what is not used at rest. The keeper is part of a large binary of which it uses little, but to start
// that has touched most of it, and each thing that happens touches some: those pages of the file stay mapped until memory is
// short. What is used again is mapped again, from the page cache.
type slimmer struct {
	mappings [][2]uintptr // of the binary, from, to
	busy     bool         // something has happened since
}

// newSlimmer finds the mappings of files that cannot be written and of which no page was ever changed: a changed one, as
// after the relocation of a position-independent binary, would be lost.
func newSlimmer() *slimmer {
	s := &slimmer{}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return s
	}
	defer file.Close()
	var from, to uint64
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			// 00400000-00e2b000 r-xp 00000000 fe:00 123 /usr/bin/tine
			from, to = 0, 0
			a, b, _ := strings.Cut(fields[0], "-")
			if mode, inode := fields[1], fields[4]; len(mode) > 1 && mode[1] == '-' && inode != "0" {
				from, _ = strconv.ParseUint(a, 16, 64)
				to, _ = strconv.ParseUint(b, 16, 64)
			}
		case fields[0] == "Anonymous:" && len(fields) > 1:
			if fields[1] == "0" && from > 0 && to > from {
				s.mappings = append(s.mappings, [2]uintptr{uintptr(from), uintptr(to)})
			}
			from, to = 0, 0
		}
	}
	debug.FreeOSMemory()
	return s
}

// rest is called when nothing has happened for a while.
func (s *slimmer) rest() {
	s.busy = false
	for _, m := range s.mappings {
		// The raw call, because these bytes are no Go slice.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m[0], m[1]-m[0], unix.MADV_DONTNEED)
	}
}

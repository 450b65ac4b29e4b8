package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// RSS is the resident memory of the leader alone, in bytes: the second field of /proc/PID/statm (proc_pid_statm(5)) times
// the page size. Pages that it shares with others count in full. The kernel sums it up from counters of each CPU, so it
// may be off by a few hundred KiB for each CPU. The error is [os.ErrProcessDone] after the exit.
func (p *Process) RSS() (bytes int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return 0, os.ErrProcessDone
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/statm")
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return 0, os.ErrProcessDone
	case err != nil:
		return 0, fmt.Errorf("cannot read the resident memory of process %d: %w", p.pid, err)
	}
	size, resident, ok := statm(text)
	switch {
	case !ok:
		return 0, fmt.Errorf("cannot read the resident memory of process %d: statm is %q", p.pid, text)
	case size == 0: // it has ended and is not reaped yet
		return 0, os.ErrProcessDone
	}
	return resident * int64(os.Getpagesize()), nil
}

// statm reads the first two fields, in pages.
func statm(text []byte) (size, resident int64, ok bool) {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, 0, false
	}
	size, err1 := strconv.ParseInt(string(fields[0]), 10, 64)
	resident, err2 := strconv.ParseInt(string(fields[1]), 10, 64)
	return size, resident, err1 == nil && err2 == nil && size >= 0 && resident >= 0
}

package proc

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitError says which limit of the system refused something. What runs is not affected: it is worth trying again.
type LimitError struct {
	Limit string // "RLIMIT_NOFILE", "RLIMIT_NPROC", "pids.max", "fs.file-max", "memory", ...
	Value string // its value; empty where it has none
	Err   error
}

func (e *LimitError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%v (limit: %s)", e.Err, e.Limit)
	}
	return fmt.Sprintf("%v (limit: %s is %s)", e.Err, e.Limit, e.Value)
}

// Unwrap gives the error of the system.
func (e *LimitError) Unwrap() error { return e.Err }

// AsLimit names the limit behind err, if there is one and it is not named yet. err comes from starting a process or from
// opening or duplicating a descriptor in this process: elsewhere EAGAIN means something else.
func AsLimit(err error) error {
	var named *LimitError
	if errors.As(err, &named) {
		return err
	}
	limit := &LimitError{Err: err}
	switch {
	case errors.Is(err, syscall.EMFILE):
		limit.Limit, limit.Value = "RLIMIT_NOFILE", softLimit(unix.RLIMIT_NOFILE)
	case errors.Is(err, syscall.ENFILE):
		limit.Limit, limit.Value = systemFiles()
	case errors.Is(err, syscall.EAGAIN):
		limit.Limit, limit.Value = processLimit()
	case errors.Is(err, syscall.ENOMEM):
		limit.Limit = "memory"
	default:
		return err
	}
	return limit
}

func softLimit(which int) string {
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		return "unknown"
	}
	if l.Cur >= 1<<63-1 {
		return "unlimited"
	}
	return strconv.FormatUint(l.Cur, 10)
}

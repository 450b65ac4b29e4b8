package output

import (
	"os"
	"syscall"
)

// Pollable returns a file in the runtime's poller that owns fd.
func Pollable(fd int) *os.File {
	// The mode must be set first: os.NewFile registers only what is non-blocking.
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "output")
}

//go:build !linux

package proc

import (
	"os"
	"syscall"
)

func attributes(*int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// keepInherited has no cheap equivalent here: what this process inherited without close-on-exec reaches the workers.
func keepInherited() {}

func outputPipe() (*os.File, int, error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	err := syscall.Pipe(fds[:])
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, err
	}
	return pollable(fds[0]), fds[1], nil
}

func pollable(fd int) *os.File {
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "output")
}

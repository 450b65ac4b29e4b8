//go:build !linux

package proc

import "syscall"

func attributes(*int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// keepInherited has no cheap equivalent here: what this process inherited without close-on-exec reaches the workers.
func keepInherited() {}

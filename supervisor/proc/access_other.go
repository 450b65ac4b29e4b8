//go:build !linux

package proc

import "golang.org/x/sys/unix"

func mayExecute(path string) error { return unix.Access(path, unix.X_OK) }

//go:build !linux

package proc

import "golang.org/x/sys/unix"

func systemFiles() (limit, value string) { return "kern.maxfiles", "" }

func processLimit() (limit, value string) {
	return "RLIMIT_NPROC", softLimit(unix.RLIMIT_NPROC)
}

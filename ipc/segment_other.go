//go:build !linux

package ipc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createSegment uses a temporary file without a name, where there are no memory files.
func createSegment() (int, error) {
	f, err := os.CreateTemp("", "tine-payload-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	fd, err := DuplicateFD(int(f.Fd()), 3)
	if err != nil {
		return -1, fmt.Errorf("duplicate temporary file: %w", err)
	}
	return fd, nil
}

func sealSegment(int) error { return nil }

func verifySegment(fd int, n int64) error { return verifyFile(fd, n) }

func mapFlags(int) int { return unix.MAP_PRIVATE }

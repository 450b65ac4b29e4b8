//go:build !linux

package ipc

import "fmt"

// sealMemory: there is nothing that keeps the size of a file here; those who have it are trusted.
func sealMemory(int) error { return nil }

func verifyMemory(fd int, n int64, _ bool) error {
	if err := verifyFile(fd, n); err != nil {
		return fmt.Errorf("%d bytes are needed: %w", n, err)
	}
	return nil
}

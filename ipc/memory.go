package ipc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewMemory makes a file of n zero bytes that several processes can map and write, and that keeps its size. name is what errors call it.
func NewMemory(name string, n int64) (*os.File, error) {
	fd, err := createSegment()
	if err != nil {
		return nil, err
	}
	if err := unix.Ftruncate(fd, n); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("resize memory file to %d bytes: %w", n, err)
	}
	if err := sealMemory(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// MapMemory maps all n bytes of a file that NewMemory has made, here or in another process, until the caller unmaps them. It does not close
// f. It refuses a file of another size, and one that could shrink while it is in use.
func MapMemory(f *os.File, n int64) ([]byte, error) { return mapMemory(f, n, false) }

// mapMemory maps n bytes of f, which it does not close. It looks at the size first: a mapping that goes past the end of its
// file kills who uses it. Where the file may be an eBPF map it has no size, and the kernel refuses to map more than there
// is.
func mapMemory(f *os.File, n int64, ebpfMap bool) ([]byte, error) {
	fd, err := Descriptor(f)
	if err != nil {
		return nil, err
	}
	if err := verifyMemory(fd, n, ebpfMap); err != nil {
		return nil, err
	}
	b, err := unix.Mmap(fd, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", n, err)
	}
	return b, nil
}

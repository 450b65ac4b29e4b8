//go:build !linux

package record

import (
	"fmt"
	"os"
)

// Memory returns an empty file, which lives as long as any process has it open. It is closed by exec. There are no memory files
// here, so it is a temporary file without a name.
func Memory(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot make the memory file %s: %w", name, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot make the memory file %s: %w", name, err)
	}
	return f, nil
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Stamp returns a text that differs from an earlier one if a file of the config, or a folder that has one, has changed meanwhile
// (inode, size or time). It looks at the disk, and so may wait for it.
func (c *Config) Stamp() string {
	var b strings.Builder
	seen := map[string]bool{}
	add := func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", path, err)
			return
		}
		inode := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = uint64(st.Ino)
		}
		fmt.Fprintf(&b, "%s: %d %d %d\n", path, inode, info.Size(), info.ModTime().UnixNano())
	}
	for _, path := range append(c.Files(), c.origin.Read...) {
		add(path)
		add(filepath.Dir(path)) // where an include may find another one
	}
	return b.String()
}

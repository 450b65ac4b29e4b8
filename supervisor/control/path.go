package control

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
)

const (
	socketSuffix = ".sock"
	lockSuffix   = ".lock"
	maxName      = 48 // bytes of a socket's name before it is shortened: paths of sockets are short
)

// DefaultPath is where a master of this name has its socket, and where a client looks
// for it: below $XDG_RUNTIME_DIR/tine where that is set, else below /run/tine for
// root, else below a folder of the user's own in the temporary folder. What cannot be
// part of a file's name is replaced in it; the empty name is "tine".
func DefaultPath(name string) string {
	return filepath.Join(folders()[0], fileName(name)+socketSuffix)
}

// folders are where sockets may be, the one for new sockets first. The others are
// looked through too, since a master may have been started in another environment,
// such as by systemd.
func folders() []string {
	var all []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		all = append(all, filepath.Join(dir, "tine"))
	}
	if os.Geteuid() == 0 {
		all = append(all, "/run/tine")
	}
	return append(all, filepath.Join(os.TempDir(), fmt.Sprintf("tine-%d", os.Geteuid())))
}

// fileName makes a name that is one path element, and different for names that are.
func fileName(name string) string {
	if name == "" {
		return "tine"
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
			return r
		}
		return '-'
	}, name)
	if clean[0] == '.' {
		clean = "-" + clean[1:]
	}
	if clean == name && len(name) <= maxName {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s-%08x", clean[:min(len(clean), maxName)], h.Sum32())
}

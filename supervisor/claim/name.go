package claim

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
)

// EnvWorld is the environment variable that makes a world of its own: see [World].
const EnvWorld = "TINE_RUNTIME_DIR"

// World is the absolute path of the folder that $TINE_RUNTIME_DIR names, or empty. Where it is set, masters and commands
// with another one, or with none, do not know each other: the sockets are in that folder, and the claims are its own. It is
// for tests and for two masters of one name side by side.
func World() string {
	dir := os.Getenv(EnvWorld)
	if dir == "" {
		return ""
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return filepath.Clean(dir)
	}
	return abs
}

func worldWord() string {
	dir := World()
	if dir == "" {
		return "-"
	}
	h := fnv.New64a()
	h.Write([]byte(dir))
	return fmt.Sprintf("%016x", h.Sum64())
}

const maxName = 48 // bytes of a name before it is shortened: addresses of sockets are short

// FileName makes of a master's name one path element, and different ones of different names. Of none it is "tine".
func FileName(name string) string {
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

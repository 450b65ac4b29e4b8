package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tinehq/tine/supervisor/claim"
)

const (
	socketSuffix = ".sock"
	lockSuffix   = ".lock"
)

// DefaultPath is where a master of this name has its socket: in $TINE_RUNTIME_DIR where
// that is set, else below $XDG_RUNTIME_DIR/tine, else below /run/tine for root, else
// below a folder of the user's own in the temporary folder. What cannot be part of a
// file's name is replaced in it; the empty name is "tine". It is where a socket is made,
// and not how it is found: see [Discover].
func DefaultPath(name string) string {
	return filepath.Join(folders()[0], claim.FileName(name)+socketSuffix)
}

// folders are where sockets may be, the one for new sockets first. The others are
// looked through too, since a master may have been started in another environment,
// such as by systemd.
func folders() []string {
	if dir := claim.World(); dir != "" {
		return []string{dir}
	}
	var all []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		all = append(all, filepath.Join(dir, "tine"))
	}
	if os.Geteuid() == 0 {
		all = append(all, "/run/tine")
	}
	return append(all, temporaryFolder())
}

// temporaryFolder is the user's own folder in the temporary folder.
func temporaryFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tine-%d", os.Geteuid()))
}

// nearFolder is that of folders which a variable names; empty: none does.
func nearFolder() string {
	if dir := claim.World(); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tine")
	}
	return ""
}

// Where says where Discover looks for masters, in one line.
func Where() string {
	return "claimed as " + claim.Address("NAME") + "; sockets in " + strings.Join(folders(), " and ")
}

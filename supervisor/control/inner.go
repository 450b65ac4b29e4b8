package control

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tinehq/tine/supervisor/claim"
)

// innerSuffix ends the name of the folder of a master's inner sockets.
const innerSuffix = ".inner"

// InnerFolder makes the folder for the inner sockets of an app and returns the prefix of their paths in it: NAME.inner/APP., beside the
// control socket of a master of that name. fits reports whether paths with a prefix are short enough for a socket. Where they are not,
// the names are shortened to numbers, and then the folder is one in the temporary folder: why says so. The folder and those above it can
// be changed by this user and root alone. No other master has a folder of the name: see package claim.
func InnerFolder(name, app string, fits func(prefix string) bool) (prefix, why string, err error) {
	long := filepath.Join(claim.FileName(name)+innerSuffix, app+".")
	short := filepath.Join(hashed(claim.World(), name)+innerSuffix, hashed(app)+".")
	for i, base := range append(folders(), temporaryFolder()) {
		for _, rest := range []string{long, short} {
			prefix = filepath.Join(base, rest)
			if !fits(prefix) {
				continue
			}
			if i > 0 || rest != long {
				why = fmt.Sprintf("%s is too long for a socket: the inner sockets are at %s", filepath.Join(folders()[0], long), prefix)
			}
			return prefix, why, makeInner(base, filepath.Dir(prefix))
		}
	}
	return "", "", fmt.Errorf("cannot make a folder for the inner sockets of app %s: %s is too long for a socket; set TMPDIR to a shorter folder", app, prefix)
}

func makeInner(base, dir string) error {
	err := makeFolder(base)
	if err == nil {
		err = makeFolder(dir)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(dir)
	}
	if err == nil && info.Mode().Perm() != 0o700 {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("cannot make the folder for inner sockets: %w", err)
	}
	return nil
}

// hashed is one short name for several.
func hashed(names ...string) string {
	h := fnv.New64a()
	for _, name := range names {
		fmt.Fprintf(h, "%s\x00", name)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxLinks is how many symlinks one path may lead through, as for the system.
const maxLinks = 40

// lookUp walks a path as the system does, to where it leads now: any of its folders may be made anew, and any of its symlinks
// turned. steps are the entries, each in a real folder, on which that depends: those that exist, and the first that does not.
// real is where they lead; "": nowhere, and err says why.
func lookUp(p string, readlink func(string) (target string, link bool, err error)) (steps []string, real string, err error) {
	rest := strings.Split(filepath.Clean(p), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		entry := filepath.Join(at, name)
		steps = append(steps, entry)
		target, link, err := readlink(entry)
		switch {
		case err != nil:
			return steps, "", err
		case !link:
			at = entry
			continue
		}
		if links++; links > maxLinks {
			return steps, "", fmt.Errorf("%s leads through more than %d symlinks", p, maxLinks)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return steps, at, nil
}

// readlink is for lookUp.
func readlink(entry string) (target string, link bool, err error) {
	info, err := os.Lstat(entry)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return "", false, err
	}
	target, err = os.Readlink(entry)
	return target, true, err
}

// watchedPath is one path of a config, and what it means now.
type watchedPath struct {
	path    string // absolute; of a pattern what stands before it
	pattern string // below path; "": all of it
	steps   []string
	real    string // "": it leads nowhere
	folder  bool
}

// newWatchedPath takes a path for a pattern if it looks like one and no such file exists.
func newWatchedPath(p string) (*watchedPath, error) {
	absolute, err := filepath.Abs(p)
	if err != nil {
		return nil, err
	}
	w := &watchedPath{path: absolute}
	if _, err := os.Lstat(absolute); !strings.ContainsAny(absolute, "*?[") || !errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	parts := strings.Split(absolute, "/")
	for i, part := range parts {
		if strings.ContainsAny(part, "*?[") {
			w.path, w.pattern = "/"+filepath.Join(parts[:i]...), strings.Join(parts[i:], "/")
			break
		}
	}
	return w, nil
}

func (w *watchedPath) String() string { return filepath.Join(w.path, w.pattern) }

// follow finds out anew where the path leads.
func (w *watchedPath) follow() error {
	var err error
	w.folder = false
	if w.steps, w.real, err = lookUp(w.path, readlink); err != nil {
		return err
	}
	info, err := os.Stat(w.real)
	if err != nil {
		w.real = ""
		return err
	}
	w.folder = info.IsDir()
	return nil
}

// has reports whether a path below the watched folder matches the pattern, or a folder that it is in does, and whether paths
// below it may.
func (w *watchedPath) has(below string) (is, on bool) {
	if w.pattern == "" {
		return true, true
	}
	names, parts := strings.Split(below, "/"), strings.Split(w.pattern, "/")
	for i := range min(len(names), len(parts)) {
		if ok, _ := path.Match(parts[i], names[i]); !ok {
			return false, false
		}
	}
	return len(names) >= len(parts), true
}

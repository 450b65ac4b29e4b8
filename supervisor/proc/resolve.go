package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPath is searched when the environment of the command has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Spec is a program as it is configured.
type Spec struct {
	Command []string // the program and its arguments
	Dir     string   // working folder; empty: that of this process
	Env     []string // the whole environment, K=V; of several values of a key the last holds
}

// Command is a program as it was found on disk at one moment: every worker of one generation runs the same file in the
// same folder, even if a release symlink is turned meanwhile. Its Env may be appended to by several callers at once.
type Command struct {
	Path string   // the executable, with no symlink left in it
	Args []string // Args[0] is as configured: programs that look at their own name see what they expect
	Dir  string   // the working folder, with no symlink left in it
	Env  []string

	// What was at Path and Dir at that moment; nil: not known. Script: it is a text for an interpreter, which reads it by its path.
	ProgramID *FileID `json:",omitempty"`
	FolderID  *FileID `json:",omitempty"`
	Script    bool    `json:",omitempty"`
	// Reads are those of its arguments that named a file, which it may read whenever it likes: a script of an interpreter.
	Reads  []string `json:",omitempty"`
	Pinned Pinned   `json:"-"`
}

// Resolve looks the program of s up and checks that it could be started. A name with a slash is relative to the working
// folder of s, one without is searched in the PATH of s.Env; entries of PATH that are not absolute are passed over.
func Resolve(s Spec) (Command, error) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		return Command{}, errors.New("cannot resolve command: it is empty")
	}
	for _, text := range slices.Concat(s.Command, s.Env, []string{s.Dir}) {
		if strings.ContainsRune(text, 0) {
			return Command{}, fmt.Errorf("cannot resolve command %s: %q contains a zero byte", s.Command[0], text)
		}
	}
	dir, err := resolveDir(s.Dir)
	if err != nil {
		return Command{}, fmt.Errorf("cannot resolve command %s: %w", s.Command[0], err)
	}
	env := lastValues(s.Env)
	path, err := lookUp(s.Command[0], dir, env)
	if err != nil {
		return Command{}, fmt.Errorf("cannot resolve command %s: %w", s.Command[0], err)
	}
	c := Command{Path: path, Args: slices.Clone(s.Command), Dir: dir, Env: env, Script: isScript(path)}
	for _, of := range []struct {
		path string
		to   **FileID
	}{{path, &c.ProgramID}, {dir, &c.FolderID}} {
		if id, err := IDOf(of.path); err == nil {
			*of.to = &id
		}
	}
	for _, arg := range c.Args[1:] {
		path := arg
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			c.Reads = append(c.Reads, arg)
		}
	}
	return c, nil
}

// isScript reports whether a file begins as one that names its interpreter.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // nor could an interpreter read it
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "#!"
}

func resolveDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("cannot find the working folder: %w", err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("working folder %s: %w", abs, bare(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("working folder %s: %w", abs, bare(err))
	}
	if !info.IsDir() {
		return "", fmt.Errorf("working folder %s: not a folder", abs)
	}
	return real, nil
}

func lookUp(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return executable(name)
	}
	list := defaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = v
		}
	}
	// A file of that name that cannot be executed is a better answer than "not found", but a later one that can wins.
	var found error
	for _, folder := range filepath.SplitList(list) {
		if !filepath.IsAbs(folder) {
			continue
		}
		path, err := executable(filepath.Join(folder, name))
		if err == nil {
			return path, nil
		}
		if found == nil && !errors.Is(err, fs.ErrNotExist) {
			found = err
		}
	}
	if found != nil {
		return "", found
	}
	return "", fmt.Errorf("not found in PATH %s", list)
}

// executable follows the symlinks of path and checks that at its end is a file that this process may execute.
func executable(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, bare(err))
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", real, bare(err))
	case info.IsDir():
		return "", fmt.Errorf("%s: is a folder", real)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: not a regular file (%s)", real, info.Mode().Type())
	case info.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s: not executable (mode %#o)", real, info.Mode().Perm())
	}
	if err := mayExecute(real); err != nil {
		return "", fmt.Errorf("%s: %w (mode %#o)", real, err, info.Mode().Perm())
	}
	return real, nil
}

// bare takes the operation and path off an error of the file system, where the message already names them.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

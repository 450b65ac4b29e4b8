package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// LoadOptions say how a config is read.
type LoadOptions struct {
	Env string // the name of one of the environments in the file, which is merged over the rest; "": none
	// Folder is the absolute path that a relative path of the file is relative to. A symlink in it is followed each time the
	// file is read. "": the working folder, as the shell names it.
	Folder string
}

// Load reads, checks and completes the config in the YAML file at path. Relative paths in it are relative to its folder.
// When something is wrong with its content the error is a *[ConfigErrors] that names all of it.
//
// At the top of the file, besides the keys of [Config]:
//
//   - include: files or patterns as of [filepath.Glob], relative to the file's own folder, whose content counts as if it
//     stood here. An app, a cached value or a setting that two files have is an error.
//   - env_file: files as of [ReadEnvFile], for the variables of this file and those that it includes. What the master was
//     started with wins over them. Workers do not get them: an app has an env_file of its own.
//   - environments: sections of settings by name, of which [LoadOptions.Env] chooses one. It is merged over the rest:
//     sections key by key, anything else in whole; a key with no value takes the key away.
//   - x-...: whatever is to be used by YAML aliases.
//
// In values, not in keys, ${NAME} is the variable NAME, which must be there; ${NAME:-TEXT} is TEXT when NAME is not there
// or empty, in which variables count too and braces go in pairs; $$ is one $, and a $ before anything else stands for
// itself. In a list or section in one line a value with braces needs quotes. What comes of it counts as
// if it stood there without quotes.
func Load(path string) (*Config, error) { return LoadWith(path, LoadOptions{}) }

// LoadWith is [Load] with options.
func LoadWith(path string, o LoadOptions) (*Config, error) {
	if o.Folder == "" && !filepath.IsAbs(path) {
		folder, err := os.Getwd() // the logical one, as long as PWD leads to it
		if err != nil {
			return nil, fmt.Errorf("cannot read the config %s: %w", path, err)
		}
		o.Folder = folder
	}
	absolute := filepath.Clean(inFolder(o.Folder, path))
	text, err := readRegular(absolute, "config", maxConfigBytes)
	if err != nil {
		return nil, err
	}
	var read []string
	l := diskLoader(o)
	fromDisk := l.read
	l.read = func(path string) ([]byte, error) {
		read = append(read, path)
		return fromDisk(path)
	}
	d := newDecoder(l)
	c, err := d.load(path, absolute, text)
	if err != nil {
		return nil, err
	}
	c.read = read
	c.path, c.folder, c.env = path, o.Folder, o.Env
	for _, s := range d.sources {
		c.files = append(c.files, s.path)
	}
	return c, nil
}

// Files returns the absolute paths of all files that the config was read from, its own first. Env files are not among them.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Reload reads the file of the config anew, as it was read: a relative path means what it meant then, also where a symlink of
// the working folder was turned since. A config that was built in Go has none.
func (c *Config) Reload() (*Config, error) {
	if c.path == "" {
		return nil, errors.New("cannot read the config again: it is of no file")
	}
	return LoadWith(c.path, LoadOptions{Env: c.env, Folder: c.folder})
}

// loader is where files and variables come from.
type loader struct {
	env    string
	read   func(path string) ([]byte, error)
	glob   func(pattern string) ([]string, error)
	lookup func(name string) (string, bool)
}

func diskLoader(o LoadOptions) loader {
	return loader{
		env:    o.Env,
		read:   func(path string) ([]byte, error) { return readRegular(path, "config", maxConfigBytes) },
		glob:   filepath.Glob,
		lookup: os.LookupEnv,
	}
}

// parseConfig decodes text, whose faults are reported as being in the file called name and whose relative paths are
// relative to dir.
func parseConfig(name, dir string, text []byte) (*Config, error) {
	return newDecoder(diskLoader(LoadOptions{})).load(name, filepath.Join(dir, filepath.Base(name)), text)
}

// load decodes the file called name, which is at path.
func (d *decoder) load(name, path string, text []byte) (*Config, error) {
	root, ok := d.read(name, path, nil, text)
	if !ok {
		return nil, joinConfigErrors(d.errs)
	}
	c := d.config(root)
	for _, p := range problems(c.WithDefaults()) {
		// What follows from a fault that is told already helps nobody.
		follows := d.budget < 0 || d.reported(p.path) || p.path == "apps" && len(d.errs) > 0
		if !follows {
			d.failAt(d.placeOf(p.path), p.path, "%s", p.message)
		}
	}
	if err := joinConfigErrors(d.errs); err != nil {
		return nil, err
	}
	return c.WithDefaults(), nil
}

// readRegular reads a file that must be a regular one and not too long: nothing else ends for certain.
func readRegular(path, what string, limit int64) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("cannot read the %s: %w", what, fmt.Errorf(format, args...))
	}
	// Without O_NONBLOCK opening a FIFO would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail("%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail("%w", err)
	}
	if !info.Mode().IsRegular() {
		return fail("%s is no regular file but a %s", path, kindOfFile(info.Mode()))
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return fail("%w", err)
	}
	if int64(len(text)) > limit {
		return fail("%s has %d bytes, the limit is %d", path, max(info.Size(), limit+1), limit)
	}
	return text, nil
}

func kindOfFile(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	case m&os.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

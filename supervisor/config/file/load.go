package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tinehq/tine/supervisor/config"
)

// LoadOptions say how a config is read. The zero value is that of [Load].
type LoadOptions struct {
	Env string // name of one of the environments in the file, which is merged over the rest; "": none
	// Folder is the absolute path that a relative path of the file is relative to. A symlink in it is followed each time the
	// file is read. "": the working folder, as the shell names it.
	Folder string
}

// Load reads and checks the config in the YAML file at path, and fills in its defaults. Relative paths in it are relative to its
// folder. If its content is wrong the error is a *[config.Problems] that names all faults. The files have 4 MiB in all at most.
//
// At the top of the file, besides the keys of [config.Config]:
//
//   - include: files or patterns as of [filepath.Glob], relative to the file's own folder, whose content counts as if it
//     stood here. An app, a cached value or a setting that two files have is an error.
//   - env_file: files as of [config.ReadEnvFile], for the variables of this file and those that it includes. What the master was
//     started with wins over them. Workers do not get them: an app has an env_file of its own.
//   - environments: sections of settings by name, of which [LoadOptions.Env] chooses one. It is merged over the rest:
//     sections key by key, anything else in whole; a key with no value takes the key away.
//   - x-...: whatever is to be used by YAML aliases.
//
// In values, not in keys, ${NAME} is the variable NAME, which must be there; ${NAME:-TEXT} is TEXT when NAME is not there
// or empty, in which variables count too and braces go in pairs; $$ is one $, and a $ before anything else stands for
// itself. In a list or section in one line a value with braces needs quotes. What comes of it counts as
// if it stood there without quotes.
func Load(path string) (*config.Config, error) { return LoadWith(path, LoadOptions{}) }

// LoadWith is [Load] with options.
func LoadWith(path string, o LoadOptions) (*config.Config, error) {
	if o.Folder == "" && !filepath.IsAbs(path) {
		folder, err := os.Getwd() // the logical one, as long as PWD leads to it
		if err != nil {
			return nil, fmt.Errorf("cannot read the config %s: %w", path, err)
		}
		o.Folder = folder
	}
	absolute := filepath.Clean(config.InFolder(o.Folder, path))
	text, err := config.ReadRegular(absolute, "config", maxConfigBytes)
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
	origin := config.Origin{Path: path, Folder: o.Folder, Env: o.Env, Read: read}
	for _, s := range d.sources {
		origin.Files = append(origin.Files, s.path)
	}
	c.SetOrigin(origin)
	return c, nil
}

// Reload reads the file of c again, with the same options: a relative path is relative to the same folder as then, also if the
// working folder has changed. A config that was built in Go has no file, which is an error. c is not changed.
func Reload(c *config.Config) (*config.Config, error) {
	from := c.Origin()
	if from.Path == "" {
		return nil, errors.New("cannot read the config again: it is of no file")
	}
	return LoadWith(from.Path, LoadOptions{Env: from.Env, Folder: from.Folder})
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
		read:   func(path string) ([]byte, error) { return config.ReadRegular(path, "config", maxConfigBytes) },
		glob:   filepath.Glob,
		lookup: os.LookupEnv,
	}
}

// load decodes the file called name, which is at path.
func (d *decoder) load(name, path string, text []byte) (*config.Config, error) {
	root, ok := d.read(name, path, nil, text)
	if !ok {
		return nil, config.JoinProblems(d.errs)
	}
	c := d.config(root)
	for _, p := range config.Faults(c.WithDefaults()) {
		// A fault that only follows from one that is reported already is left out.
		follows := d.budget < 0 || d.reported(p.Path) || p.Path == "apps" && len(d.errs) > 0
		if !follows {
			d.failAt(d.placeOf(p.Path), p.Path, "%s", p.Message)
		}
	}
	if err := config.JoinProblems(d.errs); err != nil {
		return nil, err
	}
	return c.WithDefaults(), nil
}

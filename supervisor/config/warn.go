package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/tinehq/tine/supervisor/proc"
)

// bareVariable matches a variable without braces, which other tools replace and Tine does not.
var bareVariable = regexp.MustCompile(`\$[A-Za-z_][A-Za-z0-9_]*`)

// Warnings returns what would keep a valid config from starting on this machine as it is now: env files and tokens that cannot
// be read, programs and folders that are not found. They are no errors, as the config may be for another machine. It also returns what
// is likely to be meant otherwise: variables without braces, and scores of a gateway. Each is one line that begins with the path of a
// key.
func (c *Config) Warnings() []string {
	var found []string
	warn := func(path string, err error) { found = append(found, fmt.Sprintf("%s: %v", path, err)) }
	program := func(path string, command []string, dir string, env []string) {
		if _, err := proc.Resolve(proc.Spec{Command: command, Dir: dir, Env: env}); err != nil {
			warn(path, err)
		}
	}
	full := c.WithDefaults()
	bare := func(path string, values ...string) {
		for _, v := range values {
			if name := bareVariable.FindString(v); name != "" {
				warn(path, fmt.Errorf("%s in %s stands for itself: for the variable write ${%s}", name, Shorten(v), name[1:]))
			}
		}
	}
	bare("control", full.Control)
	bare("log.file", full.Log.File)
	bare("dashboard.token_file", full.Dashboard.TokenFile)
	for _, a := range full.Apps {
		at := Join("apps", a.Name)
		bare(Join(at, "dir"), a.Dir)
		bare(Join(at, "env_file"), a.EnvFiles...)
		bare(Join(at, "listen"), a.Listen...)
		bare(Join(at, "log.file"), a.Log.File)
		bare(Join(at, "dump_dir"), a.DumpDir)
		bare(Join(at, "watch"), a.Watch.Paths...)
		if a.Gateway != nil {
			for _, doubt := range a.Gateway.doubts() {
				warn(Join(Join(at, "gateway"), "score"), errors.New(doubt))
			}
		}
		for _, file := range a.EnvFiles {
			if _, err := ReadEnvFile(file); err != nil {
				warn(Join(at, "env_file"), err)
			}
		}
		without := a
		without.EnvFiles = nil
		env, err := a.Environment(os.Environ())
		if err != nil {
			if env, err = without.Environment(os.Environ()); err != nil {
				warn(Join(at, "env"), err)
				continue
			}
		}
		program(Join(at, "command"), a.Command, a.Dir, env)
		hooks := Join(at, "hooks")
		for _, h := range []struct {
			name string
			hook Hook
		}{{"before_start", a.Hooks.BeforeStart}, {"after_ready", a.Hooks.AfterReady}, {"before_drain", a.Hooks.BeforeDrain}, {"on_crash", a.Hooks.OnCrash}} {
			if len(h.hook.Command) > 0 {
				program(Join(hooks, h.name), h.hook.Command, a.Dir, env)
			}
		}
	}
	for _, v := range full.Cache {
		if len(v.Exec) > 0 {
			program(Join(Join("cache", v.Key), "exec"), v.Exec, v.Dir, os.Environ())
		}
	}
	if file := full.Dashboard.TokenFile; file != "" {
		if _, err := ReadRegular(file, "token", maxEnvFile); err != nil {
			warn("dashboard.token_file", err)
		}
	}
	return found
}

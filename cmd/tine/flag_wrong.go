package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
)

// fromVariable is the annotation of a flag that was set from its environment variable.
const fromVariable = "tine-variable"

// blameFlags names for each fault of a config the flag or the variable that it comes from, which makes it the error of a wrong
// command line. If a fault comes from a config file, err stays as it is.
func blameFlags(flags *pflag.FlagSet, c *supervisor.Config, err error) error {
	var all *supervisor.ConfigErrors
	if !errors.As(err, &all) || len(c.Apps) == 0 {
		return err
	}
	var lines []string
	for _, e := range all.Errors {
		flag := flags.Lookup(flagOf(e.Path, c.Apps[0].Name))
		if e.Line > 0 || flag == nil || !flag.Changed {
			return err
		}
		name := "--" + flag.Name
		if flag.Annotations[fromVariable] != nil {
			name = variableOf(flag.Name) + " in the environment"
		}
		lines = append(lines, fmt.Sprintf("%s: %s", name, e.Message))
	}
	return term.Usagef("%s (see tine run --help)", strings.Join(lines, "; "))
}

// flagOf returns the name of the flag that sets what is at a path of a config; empty: there is none. app is the name of the
// app of the command line.
func flagOf(path, app string) string {
	for _, name := range []string{app, strconv.Quote(app)} { // a path quotes a name with a dot
		if rest, ok := strings.CutPrefix(path, "apps."+name); ok && rest == "" {
			return "name"
		} else if key, below := strings.CutPrefix(rest, "."); ok && below && isAppFlag(flagNamed(key)) {
			return flagNamed(key)
		}
	}
	switch section, _, _ := strings.Cut(path, "."); section {
	case "cache", "health":
		return section
	case "log", "control", "stop_delay", "stop_timeout":
		return flagNamed(path)
	}
	return ""
}

// flagNamed returns the name of the flag for a key of a config: listen for listen[1], log-file for log.file.
func flagNamed(key string) string {
	name, _, _ := strings.Cut(key, "[")
	return strings.NewReplacer(".", "-", "_", "-").Replace(name)
}

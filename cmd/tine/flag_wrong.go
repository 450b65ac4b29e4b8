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

// fromVariable marks a flag whose value is that of its environment variable.
const fromVariable = "tine-variable"

// blameFlags says of each fault of a config which flag, or which variable, has said it: that is a wrong command line. Faults
// that no flag has said, as those of a config file, make the error what it was.
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

// flagOf is the flag of tine run that says what is at a path of a config; empty: none does. app is the one of a command line.
func flagOf(path, app string) string {
	for _, name := range []string{app, strconv.Quote(app)} { // as a path has it that would have one dot too many
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

// flagNamed is what a flag for a key of a config is called: listen for listen[1], log-file for log.file.
func flagNamed(key string) string {
	name, _, _ := strings.Cut(key, "[")
	return strings.NewReplacer(".", "-", "_", "-").Replace(name)
}

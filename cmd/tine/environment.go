package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/handover"
	"github.com/tinehq/tine/supervisor/keeper"
)

// envPrefix begins the variable of each flag of tine run.
const envPrefix = "TINE_"

func variableOf(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets each flag that is not on the command line from its variable. With a config file the variables that
// describe an app have no effect, but a wrong value of theirs is an error too: it would be found only later, without the
// file.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) (err error) {
	set := func(to *pflag.FlagSet, flag *pflag.Flag) {
		name := variableOf(flag.Name)
		value, ok := lookup(name)
		if !ok || value == "" || flag.Changed || err != nil {
			return
		}
		if bad := to.Set(flag.Name, value); bad != nil {
			err = term.Usagef("%s=%q in the environment: %w", name, value, bad)
			return
		}
		_ = to.SetAnnotation(flag.Name, fromVariable, []string{name})
	}
	set(flags, flags.Lookup("config"))
	inFile := flags.Lookup("config").Value.String() != ""
	var aside runFlags
	unused := pflag.NewFlagSet("", pflag.ContinueOnError)
	aside.define(unused)
	flags.VisitAll(func(flag *pflag.Flag) {
		switch {
		case flag.Name == "help" || flag.Name == "check" || flag.Name == "env" && !inFile || unused.Lookup(flag.Name) == nil:
		case inFile && isAppFlag(flag.Name):
			set(unused, flag)
		default:
			set(flags, flag)
		}
	})
	return err
}

func isAppFlag(name string) bool { return slices.Contains(appFlags, name) }

// ownVariables and ownPrefixes are variables of Tine that belong to no flag: between its processes, and for workers.
// hookVariable are for hooks, which may start a tine.
var (
	ownVariables = []string{"TINE_APP", "TINE_GENERATION", "TINE_SLOT", "TINE_CHANNEL_FD", "TINE_LIFELINE_FD", envStart, envFolder, envCheck, claim.EnvWorld}
	ownPrefixes  = []string{"TINE_KEEPER_", "TINE_TEST"}
	hookVariable = []string{"TINE_WORKER", "TINE_PID", "TINE_EXIT_CODE", "TINE_SIGNAL"}
)

// uselessVariables returns a line for each variable that looks like one of Tine's and has no effect: no flag has it, or it
// describes an app and there is a config file.
func uselessVariables(flags *pflag.FlagSet, environ []string) (lines []string) {
	known := map[string]string{} // flag by variable
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "check" {
			known[variableOf(f.Name)] = f.Name
		}
	})
	inHook := slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, "TINE_APP=") })
	config := flags.Lookup("config").Value.String()
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		suffix, ours := strings.CutPrefix(name, envPrefix)
		own := slices.Contains(ownVariables, name) || inHook && slices.Contains(hookVariable, name) ||
			slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if !ours || own || value == "" {
			continue
		}
		flag, is := known[name]
		switch {
		case is && config != "" && isAppFlag(flag) && !flags.Changed(flag):
			lines = append(lines, fmt.Sprintf("%s in the environment does nothing beside a config file: write it in %s", name, config))
		case is:
		default:
			text := name + " in the environment is not a variable of tine"
			if near := nearestFlag(flags, strings.ToLower(strings.ReplaceAll(suffix, "_", "-"))); near != nil && near.Name != "help" && near.Name != "check" {
				text += ": did you mean " + variableOf(near.Name) + "?"
			}
			lines = append(lines, text)
		}
	}
	slices.Sort(lines)
	return lines
}

// warnOfVariables prints these lines in the process that a person has started: not below a keeper, nor in an upgrade.
func warnOfVariables(cmd *cobra.Command, to io.Writer) {
	if keeper.PID() != 0 || handover.HasParent() {
		return
	}
	for _, line := range uselessVariables(cmd.Flags(), os.Environ()) {
		fmt.Fprintf(to, "tine: warning: %s\n", line)
	}
}

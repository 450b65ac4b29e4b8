// Command tine is a prefork process supervisor: see the README, or tine --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"github.com/tinehq/tine/supervisor/master"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/keeper"
)

func main() {
	keeper.Main() // does not return in a process that becomes a keeper
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	root := newRoot()
	root.SetArgs(negativeNumbers(args))
	err := root.ExecuteContext(context.Background())
	var ended *master.ExitError
	if errors.As(err, &ended) { // the reason is in its log
		return ended.Code
	}
	return term.Report(os.Stderr, err)
}

func newRoot() *cobra.Command {
	cobra.EnableCommandSorting = false // the help lists them in the order below
	root := &cobra.Command{
		Use:     "tine",
		Version: versionText(),
		Short:   "One worker process per CPU on one address, restarted, refreshed and replaced with no lost request",
		Long: `Tine keeps one worker process per CPU on one address. It restarts those that
crash, broadcasts cached values to all of them, and on SIGUSR2 replaces them one
at a time with no lost request. A worker is a Go program that imports one small
package: see go doc github.com/tinehq/tine/worker.`,
		Example: `  tine start -l :7000 -- ./server   # in the background; tine run: in the foreground
  tine ls                           # what runs
  tine logs -f                      # what it says
  tine reload                       # new workers from what is on disk, no request lost
  tine config --help                # a file for more: several apps, a dashboard, metrics, hooks
  tine stop                         # ends it`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	verbs(root)
	root.SetFlagErrorFunc(badFlag)
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "To run:"}, &cobra.Group{ID: groupSee, Title: "To see:"},
		&cobra.Group{ID: groupChange, Title: "To change what runs:"}, &cobra.Group{ID: groupMore, Title: "More:"})
	group(root, groupRun, newStart(), newRun(), newGate(), newStop(), newStartup())
	group(root, groupSee, newList(), newStatus(), newDescribe(), newTop(), newLogs(), newEvents(), newWhy(), newProfile())
	group(root, groupChange, newReload(), newRollback(), newRestart(), newScale(), newDrain(), newPause(), newResume(), newSignal(), newCache(), newUpgrade())
	group(root, groupMore, newConfig(), newDoctor(), newVersion(), newCompletion(), newMan())
	root.SetHelpCommandGroupID(groupMore)
	return root
}

// verbs gives cmd its subcommands. cmd itself only prints its help.
func verbs(cmd *cobra.Command, of ...*cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.AddCommand(of...)
}

// The groups of the help.
const (
	groupRun    = "run"
	groupSee    = "see"
	groupChange = "change"
	groupMore   = "more"
)

func group(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
		root.AddCommand(c)
	}
}

// answer prints the answer of a command: document as JSON, or what text prints for people. An answer that cannot be written
// is an error.
func answer(cmd *cobra.Command, asJSON bool, document any, text func(term.Screen)) error {
	s := term.NewScreen(cmd.OutOrStdout())
	if asJSON {
		return term.PrintJSON(s, document)
	}
	text(s)
	return s.Failed()
}

// arguments makes the check of the number of arguments. most < 0: no bound.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		problem := "too few arguments"
		if most >= 0 && len(args) > most {
			problem = fmt.Sprintf("too many arguments: %s", args[most])
		}
		ways := strings.Split(cmd.Use, " | ")
		for i, way := range ways {
			ways[i] = strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + way
		}
		return term.Usagef("%s: %s", problem, strings.Join(ways, " | "))
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets only for its own message
	err := fmt.Errorf("unknown command %q for %s", name, cmd.CommandPath())
	near := cmd.SuggestionsFor(name)
	for _, c := range cmd.Commands() { // a word of another tool means that one, whatever is spelled like it
		if slices.ContainsFunc(c.SuggestFor, func(word string) bool { return strings.EqualFold(word, name) }) {
			near = slices.Insert(near, 0, c.Name())
			break
		}
	}
	if len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %q?", err, near[0])
	}
	return term.Usage(err)
}

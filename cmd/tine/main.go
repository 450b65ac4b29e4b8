// Command tine is a prefork process supervisor: see the README, or tine --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor"
)

// Exit statuses, as sysexits.h and the shells have them. An app's own status is
// passed on as it is.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	var ended *supervisor.ExitError
	if errors.As(err, &ended) {
		// Its log line has said why.
		return ended.Code
	}
	fmt.Fprintf(os.Stderr, "tine: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "tine",
		Version: versionText(),
		Short:   "One worker process per CPU on one address, restarted, refreshed and replaced with no lost request",
		Long: `Tine keeps one worker process per CPU on one address. It restarts those that
crash, broadcasts cached values to all of them, and on SIGUSR2 replaces them one
at a time with no lost request.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newConfig(), newDoctor(), newVersion())
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets only where it answers itself
	err := fmt.Errorf("unknown command %q for %s", name, cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %q?", err, near[0])
	}
	return usageError{err}
}

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
)

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print what makes a shell complete verbs, flags, apps, slots and keys",
		Example: `  source <(tine completion bash)       # in this shell; for all: into ~/.bashrc
  tine completion zsh > "${fpath[1]}/_tine"
  tine completion fish > ~/.config/fish/completions/tine.fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return term.Usagef("which shell? write tine completion %s", strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				if err := cmd.Root().GenBashCompletionV2(out, true); err != nil {
					return err
				}
				_, err := io.WriteString(out, bashWords)
				return err
			case "zsh":
				return cmd.Root().GenZshCompletion(out)
			}
			return cmd.Root().GenFishCompletion(out, true)
		},
	}
}

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages, for packages",
		Example: "  tine man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Clean(args[0])
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("cannot make the folder of the manual: %w", err)
			}
			root := cmd.Root()
			// Without the tag the pages depend on the program and SOURCE_DATE_EPOCH only, so that builds are reproducible.
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "tine", Manual: "Tine"}, dir); err != nil {
				return fmt.Errorf("cannot write the manual to %s: %w", dir, err)
			}
			return nil
		},
	}
}

// completeFlags completes the flags of run that take one of a few words.
func completeFlags(cmd *cobra.Command) {
	for flag, words := range map[string][]cobra.Completion{
		"restart": {supervisor.RestartOnFailure, supervisor.RestartAlways, supervisor.RestartNever},
		"rollout": {supervisor.RolloutSurge, supervisor.RolloutStopFirst},
		"policy": {supervisor.PolicyLeast, supervisor.PolicyRoundRobin, supervisor.PolicyRandom, supervisor.PolicyHash,
			supervisor.PolicyClientIP, supervisor.PolicyCPU},
		"steering":   {supervisor.SteeringAuto, supervisor.SteeringEBPF, supervisor.SteeringCBPF, supervisor.SteeringHash},
		"log-format": {"auto", "text", "json"},
		"log-level":  {"trace", "debug", "info", "warn", "error"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
)

// completionTimeout bounds what a person waits for after a Tab: a master answers in a few ms, if it is not stopped or the
// machine is not on its knees.
const completionTimeout = 1500 * time.Millisecond

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
				return usageError{fmt.Errorf("which shell? write tine completion %s", strings.Join(shells, ", "))}
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
			// The same input, the same pages: the date that stays is SOURCE_DATE_EPOCH's.
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "tine", Manual: "Tine"}, dir); err != nil {
				return fmt.Errorf("cannot write the manual to %s: %w", dir, err)
			}
			return nil
		},
	}
}

// live asks the master that a half-written command line means.
func live(cmd *cobra.Command) (statuses []control.Status) {
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	t := &target{}
	if f := cmd.Flags().Lookup("control"); f != nil {
		t.socket = f.Value.String()
	}
	if f := cmd.Flags().Lookup("master"); f != nil && f.Changed {
		t.master = f.Value.String()
	}
	all, err := t.candidates(ctx)
	if err != nil {
		return nil
	}
	for _, c := range all {
		if c.err == nil {
			statuses = append(statuses, c.status)
		}
		c.Close()
	}
	return statuses
}

func fits(words []string, text string) ([]string, cobra.ShellCompDirective) {
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, text) })
	return words, cobra.ShellCompDirectiveNoFileComp
}

func completeApps(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, st := range live(cmd) {
		names = append(names, appNames(st.Apps)...)
		for _, a := range st.Apps { // orders and readings take a namespace for all its apps
			if a.Namespace != "" && !slices.Contains(names, a.Namespace) {
				names = append(names, a.Namespace)
			}
		}
	}
	return fits(names, text)
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

// completeApp completes the first argument only.
func completeApp(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeApps(cmd, args, text)
}

func completeMasters(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, st := range live(cmd) {
		names = append(names, st.Name)
	}
	return fits(names, text)
}

// completeSlots knows the app by -a or by the first argument, else takes all.
func completeSlots(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	app := ""
	if f := cmd.Flags().Lookup("app"); f != nil {
		app = f.Value.String()
	}
	if app == "" && len(args) > 0 {
		app = args[len(args)-1]
	}
	var slots []string
	for _, st := range live(cmd) {
		apps, err := chosen(st, app)
		if err != nil {
			apps = st.Apps
		}
		for _, a := range apps {
			for _, w := range a.Workers {
				if slot := strconv.Itoa(w.Slot); w.Slot >= 0 && !slices.Contains(slots, slot) {
					slots = append(slots, slot)
				}
			}
		}
	}
	return fits(slots, text)
}

func completeKeys(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var keys []string
	for _, st := range live(cmd) {
		for _, v := range st.Cache.Values {
			keys = append(keys, v.Key)
		}
	}
	return fits(keys, text)
}

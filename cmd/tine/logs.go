package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newLogs() *cobra.Command {
	var asJSON, follow, times bool
	var t target.Target
	var q api.LogQuery
	var slot func() *int
	last, since := 2*recent, time.Time{}
	cmd := &cobra.Command{
		Use:        "logs [APP]",
		Aliases:    []string{"log"},
		SuggestFor: []string{"tail", "attach"},
		Short:      "Show what the workers and tine itself have written",
		Long: `Show what the workers and tine itself have written. A master keeps the newest
lines of each app, whatever files they go to.`,
		Example: `  tine logs -f
  tine logs web --slot 2 --since 10m
  tine logs -n all --grep 'status=5..' --json`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: t.Run(func(cmd *cobra.Command, r *target.Running) error {
			apps, err := appsOrAll(r.Seen, t.App)
			if err != nil {
				return err
			}
			if len(apps) == 1 {
				for name := range apps {
					q.App = name
				}
			}
			q.Slot, q.Since, q.Follow = slot(), since, follow
			many := len(apps) > 1 // a query has one app or all: ask for all, and choose here
			if !cmd.Flags().Changed("last") && (!since.IsZero() || q.Grep != "" || many) {
				last = -1
			}
			q.Last = queryLast(last)
			s := term.NewScreen(cmd.OutOrStdout())
			read := func(next bool) error {
				if next {
					q.Last = queryLast(-1)
				}
				return r.Logs(cmd.Context(), q, func(l api.LogLine) error {
					if many && !apps[l.App] {
						return nil
					}
					if asJSON {
						return term.PrintLine(s, l)
					}
					_, err := fmt.Fprintln(s, term.LogText(s, l, times))
					return err
				})
			}
			if follow {
				return followed(cmd, r, read)
			}
			return read(false)
		}),
	}
	t.Define(cmd, true)
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "print new lines too, until Ctrl-C or the end of tine")
	flags.VarP(lineCount(&last), "last", "n", "how many lines, the newest, or all; all is the default with --since and --grep")
	slot = slotFlag(cmd, "only of this slot")
	flags.StringVar(&q.Stream, "stream", "", "only of stdout, stderr or master")
	flags.Var(moment(&since), "since", "only lines that are not older: 10m, or 2006-01-02T15:04:05Z")
	flags.StringVar(&q.Grep, "grep", "", "only lines that `RE2` is found in")
	flags.BoolVarP(&times, "times", "t", false, "with the time of each line")
	flags.BoolVar(&asJSON, "json", false, "print one JSON document a line")
	_ = cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions(
		[]string{api.StreamStdout, api.StreamStderr, api.StreamMaster}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// queryLast returns a number of lines, -1 for all, as api.LogQuery.Last has it.
func queryLast(n int) int {
	switch {
	case n < 0:
		return 0
	case n == 0:
		return -1
	}
	return n
}

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

func newLogs() *cobra.Command {
	var asJSON, follow, times bool
	var t target.Target
	var q control.LogQuery
	var slot int
	last, since := lines(2*recent), moment{}
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
			if cmd.Flags().Changed("slot") {
				q.Slot = &slot
			}
			q.Since, q.Follow = since.Time, follow
			many := len(apps) > 1 // a query has one app or all: ask for all, and choose here
			q.Last = last.query(cmd.Flags().Changed("last") || since.IsZero() && q.Grep == "" && !many)
			s := term.NewScreen(cmd.OutOrStdout())
			read := func(next bool) error {
				if next {
					q.Last = lines(-1).query(true)
				}
				return r.Logs(cmd.Context(), q, func(l control.LogLine) error {
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
	flags.VarP(&last, "last", "n", "how many lines, the newest, or all; all is the default with --since and --grep")
	wholeVar(flags, &slot, "slot", "", 0, "only of this slot")
	flags.StringVar(&q.Stream, "stream", "", "only of stdout, stderr or master")
	flags.Var(&since, "since", "only lines that are not older: 10m, or 2006-01-02T15:04:05Z")
	flags.StringVar(&q.Grep, "grep", "", "only lines that `RE2` is found in")
	flags.BoolVarP(&times, "times", "t", false, "with the time of each line")
	flags.BoolVar(&asJSON, "json", false, "print one JSON document a line")
	_ = cmd.RegisterFlagCompletionFunc("slot", target.CompleteSlots)
	_ = cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions(
		[]string{control.StreamStdout, control.StreamStderr, control.StreamMaster}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// lines is a flag for a number of lines; negative: all.
type lines int

func (l *lines) Set(text string) error {
	if text == "all" {
		*l = -1
		return nil
	}
	n, err := term.WholeNumber(text)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a number of lines: write 0, 100 or all", text)
	}
	*l = lines(n)
	return nil
}

func (l *lines) String() string {
	if *l < 0 {
		return "all"
	}
	return strconv.Itoa(int(*l))
}

func (l *lines) Type() string { return "number" }

// query returns the number for control.LogQuery.Last; without counts that of all lines.
func (l lines) query(counts bool) int {
	switch {
	case !counts || l < 0:
		return 0
	case l == 0:
		return -1
	}
	return int(l)
}

// moment is a flag for a point in time: how long ago it was, or a date and time.
type moment struct{ time.Time }

func (m *moment) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			m.Time = at
			return nil
		}
	}
	return fmt.Errorf("%q is not a time: write 10m, 2h, or 2006-01-02T15:04:05Z", text)
}

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (m *moment) Type() string { return "time" }

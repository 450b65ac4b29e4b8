package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newGateHistory() *cobra.Command {
	var asJSON bool
	var t target.Target
	last := api.DefaultDecisions
	cmd := &cobra.Command{
		Use:   "history [GATEWAY]",
		Short: "List the last requests of gateways, and where each went",
		Long: `List the last requests of gateways, and where each went, newest first. A gateway
remembers as many as history says in its config; tine why shows one in full.`,
		Example: `  tine gate history
  tine gate history web --last 100 --json`,
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteApp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 || last > api.MostDecisions {
				return term.Usagef("--last is a number from 1 to %d, not %d", api.MostDecisions, last)
			}
			q := api.DecisionQuery{App: strings.Join(args, ""), Last: last}
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				all, err := decisionsOf(ctx, cmd, r, q)
				if err != nil {
					return err
				}
				return answer(cmd, asJSON, all, func(s term.Screen) { historyTable(all).Write(s, 0) })
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().Var(whole(&last), "last", "at most the newest so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func newWhy() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:   "why REQUEST-ID",
		Short: "Say why a gateway sent a request where it did",
		Long: `Say why a gateway sent a request where it did: which servers there were, with which
statistics and counts and how old those were, why the others were not picked, how long
the request waited, and how each try ended. The request is known by its X-Request-Id,
which each answer of a gateway has. A gateway remembers as many requests as history
says in its config. The exit status is 1 where none remembers this one.`,
		Example: `  tine why 5f0c3a9be1d24c7790aa1234
  curl -si http://localhost/ | grep -i x-request-id`,
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				all, err := decisionsOf(ctx, cmd, r, api.DecisionQuery{ID: args[0]})
				if err != nil {
					return err
				}
				if len(all.Decisions) == 0 {
					return fmt.Errorf("no gateway remembers the request %q: it is not known, or %d others have come since", args[0], all.Kept)
				}
				return answer(cmd, asJSON, all, func(s term.Screen) {
					for i, d := range all.Decisions {
						if i > 0 {
							fmt.Fprintln(s)
						}
						explain(s, d)
					}
				})
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// decisionsOf asks the master, and prints which workers did not answer.
func decisionsOf(ctx context.Context, cmd *cobra.Command, r *target.Running, q api.DecisionQuery) (api.Decisions, error) {
	all, err := r.Decisions(ctx, q)
	if err != nil {
		return all, err
	}
	for _, w := range all.Silent {
		fmt.Fprintf(cmd.ErrOrStderr(), "tine: missing: app %s, slot %d, worker %d: %s\n", w.App, w.Slot, w.Worker, term.OneLine(w.Why))
	}
	if all.Kept == 0 && len(all.Silent) == 0 {
		return all, errors.New("no gateway remembers its requests: write history: 1000 below gateway, in the config of its app")
	}
	return all, nil
}

func historyTable(all api.Decisions) *term.Table {
	out := term.NewTable(term.Left("TIME", 0), term.Left("REQUEST", 0), term.Left("GATEWAY", 5), term.Left("PICK", 4), term.Left("MEMBER", 0),
		term.Right("READY", 6), term.Right("QUEUED", 3), term.Right("TRIES", 2), term.Right("STATUS", 0), term.Right("TOOK", 1), term.Left("ERROR", 7))
	for _, d := range all.Decisions {
		q := d.Request
		out.Add(q.At.Local().Format("15:04:05.000"), q.ID, fmt.Sprintf("%s/%d", d.App, d.Slot), term.Dash(q.Way), term.Dash(q.Chosen),
			fmt.Sprintf("%d/%d", q.Ready, q.Members), inMS(q.QueuedMS), q.Picks, statusCell(q), inMS(q.TookMS), term.Dash(q.Error))
	}
	return out
}

// statusCell is the status that the client got, or why it got none.
func statusCell(q decisions.Decision) term.Cell {
	switch {
	case q.Running:
		return term.Cell{Text: "running"}
	case q.Status == 0:
		return term.Red.Cell("gone")
	case q.Status >= 500:
		return term.Red.Cell(strconv.Itoa(q.Status))
	}
	return term.Cell{Text: strconv.Itoa(q.Status)}
}

func inMS(ms float64) string {
	return time.Duration(ms * float64(time.Millisecond)).Round(10 * time.Microsecond).String()
}

// explain prints one decision in full.
func explain(s term.Screen, d api.GateDecision) {
	q := d.Request
	fmt.Fprintf(s, "request %s at %s: %s after %s, by worker %d in slot %d of %s\n",
		term.OneLine(q.ID), q.At.Local().Format("15:04:05.000"), statusCell(q).Text, inMS(q.TookMS), d.Worker, d.Slot, d.App)
	if q.Error != "" {
		fmt.Fprintf(s, "  error: %s\n", term.OneLine(q.Error))
	}
	if q.Way == "" {
		fmt.Fprintln(s, "  no member was sought for it")
		return
	}
	chosen := "no member was picked"
	if q.Chosen != "" {
		chosen = "picked " + term.OneLine(q.Chosen)
	}
	if q.Trial {
		chosen += " to learn of it"
	}
	fmt.Fprintf(s, "  %s by %s: %d of %d members ready, waited %s, sent %s\n\n", chosen, q.Way, q.Ready, q.Members, inMS(q.QueuedMS), term.Count(q.Picks, "time"))
	members := term.NewTable(term.Left("MEMBER", 0), term.Left("WHY", 0), term.Right("IN FLIGHT", 0), term.Right("SENT", 5), term.Right("SCORE", 2),
		term.Right("COST", 3), term.Right("LATENCY", 4), term.Right("AGE", 1), term.Left("STATISTICS", 1))
	for _, c := range q.Candidates {
		why := term.Cell{Text: c.Why}
		switch {
		case c.ID == q.Chosen:
			why = term.Green.Cell("picked")
		case !c.Picks:
			why = term.Red.Cell(c.Why)
		}
		inFlight, latency, age := strconv.Itoa(c.InFlight), "-", "-"
		if c.MaxInFlight > 0 {
			inFlight += "/" + strconv.Itoa(c.MaxInFlight)
		}
		if c.LatencyMS > 0 {
			latency = inMS(c.LatencyMS)
		}
		if len(c.Stats) > 0 {
			age = inMS(c.ReportAgeMS)
		}
		members.Add(c.ID, why, inFlight, c.Sent, short(c.Score), short(c.Cost), latency, age, term.Dash(statistics(c.Stats)))
	}
	members.Write(s, 2)
	if more := q.Members - len(q.Candidates); more > 0 {
		fmt.Fprintf(s, "  and %d more\n", more)
	}
	if len(q.Tries) == 0 {
		return
	}
	fmt.Fprintln(s)
	tries := term.NewTable(term.Left("TRY", 0), term.Left("OUTCOME", 0), term.Right("TOOK", 0), term.Left("WHY", 0))
	for _, try := range q.Tries {
		tries.Add(try.Member, string(try.Outcome), inMS(try.TookMS), term.Dash(try.Why))
	}
	tries.Write(s, 2)
	if more := q.Picks - len(q.Tries); more > 0 {
		fmt.Fprintf(s, "  and %d between the last two\n", more)
	}
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func statistics(all decisions.Stats) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, fmt.Sprintf("%s=%s", name, short(all[name])))
	}
	return strings.Join(out, " ")
}

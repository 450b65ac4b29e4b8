package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/control/metrics"
)

const (
	// profilePatience is how long the answer may take, beyond the time that is measured.
	profilePatience = 30 * time.Second
	// maxProfileAnswer is the largest answer that is read, in bytes.
	maxProfileAnswer = 256 << 20
)

func newProfile() *cobra.Command {
	var t target.Target
	count := metrics.DefaultProfileSeconds
	var slot func() *int
	var file string
	cmd := &cobra.Command{
		Use:        "profile [APP] KIND",
		SuggestFor: []string{"pprof", "prof", "trace"},
		Short:      "Make one profile of all workers of an app",
		Long: `Make one profile of all ready workers of an app that are written in Go with package
worker. It goes to standard output, unless that is a terminal, in the format of
pprof: each sample has the labels slot and worker (pprof -tagfocus 'slot=^1$').

KIND is one of ` + strings.Join(metrics.ProfileKinds(), ", ") + `. A trace is
of one slot, for go tool trace. The profiles block and mutex are nearly empty for programs
that do not turn them on: with --seconds they are turned on for that time.`,
		Example: `  tine profile web cpu --seconds 10 > cpu.pb.gz
  go tool pprof -http : cpu.pb.gz
  tine profile web heap -o heap.pb.gz
  tine profile web trace --slot 0 -o trace.out`,
		Args:              arguments(1, 2),
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := args[len(args)-1]
			query, took, err := profileQuery(kind, count, cmd.Flags().Changed("seconds"), slot())
			if err != nil {
				return err
			}
			if file == "" && term.NewScreen(cmd.OutOrStdout()).Terminal {
				return term.Usagef("a profile is not text for a terminal: add > %s, or -o FILE", profileName(kind))
			}
			return t.On(cmd.Context(), args[:len(args)-1], func(r *target.Running) error {
				app, err := r.Single(t.App, "profile")
				if err != nil {
					return err
				}
				query.Set("app", app.Name)
				ctx, cancel := context.WithTimeout(cmd.Context(), took+profilePatience)
				defer cancel()
				data, err := profileOf(ctx, r.Client, query)
				if err != nil {
					return err
				}
				sayMissing(cmd.ErrOrStderr(), kind, data)
				if file == "" || file == "-" {
					_, err = cmd.OutOrStdout().Write(data)
					return err
				}
				if err := os.WriteFile(file, data, 0o644); err != nil {
					return fmt.Errorf("cannot keep the profile: %w", err)
				}
				return nil
			})
		},
	}
	t.Define(cmd, true)
	flags := cmd.Flags()
	flags.Var(whole(&count), "seconds", fmt.Sprintf("how long it is measured, 1 to %d: cpu and trace; of block and mutex only if given", metrics.MaxProfileSeconds))
	slot = slotFlag(cmd, "only of this slot")
	flags.StringVarP(&file, "output", "o", "", "write it to `FILE`; -: to standard output, also if that is a terminal")
	return cmd
}

// profileQuery returns the query for the master, and how long the measurement takes: count seconds for the kinds that take
// time, and for all kinds with measured.
func profileQuery(kind string, count int, measured bool, slot *int) (url.Values, time.Duration, error) {
	kinds := metrics.ProfileKinds()
	if !slices.Contains(kinds, kind) {
		err := fmt.Errorf("there is no profile %q: there are %s", kind, strings.Join(kinds, ", "))
		if near := api.Nearest(kind, kinds); near != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, near)
		}
		return nil, 0, term.Usage(err)
	}
	if count < 1 || count > metrics.MaxProfileSeconds {
		return nil, 0, term.Usagef("--seconds is a number from 1 to %d, not %d", metrics.MaxProfileSeconds, count)
	}
	query := url.Values{"kind": {kind}}
	took := time.Duration(0)
	if kind == metrics.ProfileCPU || kind == metrics.ProfileTrace || measured {
		query.Set("seconds", strconv.Itoa(count))
		took = time.Duration(count) * time.Second
	}
	if slot != nil {
		query.Set("slot", strconv.Itoa(*slot))
	}
	return query, took, nil
}

func profileName(kind string) string {
	if kind == metrics.ProfileTrace {
		return "trace.out"
	}
	return kind + ".pb.gz"
}

func profileOf(ctx context.Context, c *control.Client, query url.Values) ([]byte, error) {
	body, err := c.Get(ctx, "/v1/profile", query, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxProfileAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the profile: %w", err)
	}
	if len(data) > maxProfileAnswer {
		return nil, fmt.Errorf("cannot read the profile: it has more than %d bytes", maxProfileAnswer)
	}
	return data, nil
}

// sayMissing prints which workers are not in a profile.
func sayMissing(w io.Writer, kind string, data []byte) {
	if kind == metrics.ProfileTrace {
		return
	}
	p, err := profile.ParseData(data)
	if err != nil {
		fmt.Fprintf(w, "tine: the profile cannot be read: %v\n", err)
		return
	}
	for _, comment := range p.Comments {
		if strings.HasPrefix(comment, metrics.MissingComment) {
			fmt.Fprintf(w, "tine: %s\n", comment)
		}
	}
}

// completeProfile completes an app or a kind, and after an app a kind.
func completeProfile(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	kinds := metrics.ProfileKinds()
	switch len(args) {
	case 0:
		apps, directive := target.CompleteApp(cmd, args, toComplete)
		return append(apps, kinds...), directive
	case 1:
		if !slices.Contains(kinds, args[0]) {
			return kinds, cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

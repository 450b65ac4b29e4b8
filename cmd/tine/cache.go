package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// maxValue is the largest cached value that is sent to a master, in bytes.
const maxValue = 64 << 20

// valueTimeout bounds the transfer of one value.
const valueTimeout = time.Minute

func newCache() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "See and change the cached values that all workers have",
		Example: `  tine cache list
  tine cache set motd 'Closed on Sunday'
  tine cache get motd`,
	}
	verbs(cmd, newCacheList(), newCacheGet(), newCacheSet(), newCacheDelete())
	return cmd
}

// ask is t.On with a time limit, valueTimeout, for finding the master and its answer.
func ask(cmd *cobra.Command, t *target.Target, do func(context.Context, *target.Running) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), valueTimeout)
	defer cancel()
	return t.On(ctx, nil, func(r *target.Running) error { return do(ctx, r) })
}

func newCacheList() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List the cached values",
		Example:           "  tine cache list",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, &t, func(_ context.Context, r *target.Running) error {
				c := r.Seen.Cache
				out := term.NewTable(term.Left("KEY", 0), term.Right("EPOCH", 0), term.Right("SIZE", 2), term.Right("AGE", 1), term.Left("SOURCE", 3), term.Left("ERROR", 0))
				for _, v := range c.Values {
					age := term.Seconds(v.AgeS)
					if v.Epoch == 0 {
						age = "-"
					}
					out.Add(v.Key, v.Epoch, term.Memory(int64(v.Bytes)), age, v.Source, term.Red.Cell(term.Dash(v.Error)))
				}
				return answer(cmd, asJSON, c, func(s term.Screen) { out.Write(s, 0) })
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func newCacheGet() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print a cached value as it is",
		Example: `  tine cache get users
  tine cache get users --json | jq .value`,
		Args:              arguments(1, 1),
		ValidArgsFunction: target.CompleteKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				data, info, err := r.Value(ctx, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return term.PrintJSON(cmd.OutOrStdout(), valueJSON(info, data))
				}
				s := term.NewScreen(cmd.OutOrStdout())
				if s.Terminal && (len(data) == 0 || data[len(data)-1] != '\n') {
					data = append(data, '\n')
				}
				_, err = s.Write(data)
				return err
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, with epoch, age and source")
	return cmd
}

// value is what cache get --json prints: a value that is JSON as it is, another one that is text as a string, else in base64.
type value struct {
	api.CacheValue
	Value  any    `json:"value,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

func valueJSON(info api.CacheValue, data []byte) value {
	v := value{CacheValue: info}
	switch {
	case json.Valid(data):
		v.Value = json.RawMessage(data)
	case utf8.Valid(data):
		v.Value = string(data)
	default:
		v.Base64 = data
	}
	return v
}

func newCacheSet() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:   "set KEY VALUE | set KEY -",
		Short: "Set a cached value for all workers; - reads it from standard input",
		Example: `  tine cache set motd 'Closed on Sunday'
  ./make-list | tine cache set list -`,
		Args:              arguments(2, 2),
		ValidArgsFunction: target.CompleteKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			data := []byte(args[1])
			if args[1] == "-" {
				var err error
				if data, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxValue+1)); err != nil {
					return fmt.Errorf("cannot read the value from standard input: %w", err)
				}
			}
			if len(data) > maxValue {
				return fmt.Errorf("cannot set %q: a value has at most %d bytes", args[0], maxValue)
			}
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				epoch, err := r.SetValue(ctx, args[0], data)
				if err != nil {
					return err
				}
				return answer(cmd, asJSON, map[string]any{"key": args[0], "epoch": epoch}, func(s term.Screen) {
					fmt.Fprintf(s, "%s set: epoch %d\n", args[0], epoch)
				})
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func newCacheDelete() *cobra.Command {
	var t target.Target
	cmd := &cobra.Command{
		Use:               "delete KEY",
		Aliases:           []string{"rm"},
		Short:             "Take a cached value away from all workers",
		Example:           "  tine cache delete motd",
		Args:              arguments(1, 1),
		ValidArgsFunction: target.CompleteKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				if err := r.DeleteValue(ctx, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
				return err
			})
		},
	}
	t.Define(cmd, false)
	return cmd
}

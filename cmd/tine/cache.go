package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

// maxValue is the most that a cached value can have, in bytes.
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
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(newCacheList(), newCacheGet(), newCacheSet(), newCacheDelete())
	return cmd
}

// withMaster does something with the master that is meant, in bounded time.
func (t *target) withMaster(cmd *cobra.Command, do func(context.Context, *running) error) error {
	r, err := t.find(cmd.Context())
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), valueTimeout)
	defer cancel()
	return do(ctx, r)
}

func newCacheList() *cobra.Command {
	var asJSON bool
	var t *target
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List the cached values",
		Example:           "  tine cache list",
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.withMaster(cmd, func(_ context.Context, r *running) error {
				c := r.status.Cache
				if asJSON {
					return printJSON(cmd.OutOrStdout(), c)
				}
				out := &table{columns: []column{{"KEY", false, 0}, {"EPOCH", true, 0}, {"SIZE", true, 2}, {"AGE", true, 1}, {"SOURCE", false, 3}, {"ERROR", false, 0}}}
				for _, v := range c.Values {
					age := seconds(v.AgeS)
					if v.Epoch == 0 {
						age = "-"
					}
					out.add(v.Key, v.Epoch, memory(int64(v.Bytes)), age, v.Source, cell{dash(v.Error), red})
				}
				s := newScreen(cmd.OutOrStdout())
				out.write(s, 0)
				return s.failed()
			})
		},
	}
	t = addTarget(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func newCacheGet() *cobra.Command {
	var asJSON bool
	var t *target
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print a cached value as it is",
		Example: `  tine cache get users
  tine cache get users --json | jq .value`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withMaster(cmd, func(ctx context.Context, r *running) error {
				data, info, err := r.Value(ctx, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), valueJSON(info, data))
				}
				s := newScreen(cmd.OutOrStdout())
				if s.terminal && (len(data) == 0 || data[len(data)-1] != '\n') {
					data = append(data, '\n')
				}
				_, err = s.Write(data)
				return err
			})
		},
	}
	t = addTarget(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, with epoch, age and source")
	return cmd
}

// value is what cache get --json prints: the value as JSON if it is, else as a
// string if it is text, else in base64.
type value struct {
	control.CacheValue
	Value  any    `json:"value,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

func valueJSON(info control.CacheValue, data []byte) value {
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
	var t *target
	cmd := &cobra.Command{
		Use:   "set KEY VALUE | set KEY -",
		Short: "Set a cached value for all workers; - reads it from standard input",
		Example: `  tine cache set motd 'Closed on Sunday'
  ./make-list | tine cache set list -`,
		Args:              arguments(2, 2),
		ValidArgsFunction: completeKeys,
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
			return t.withMaster(cmd, func(ctx context.Context, r *running) error {
				epoch, err := r.SetValue(ctx, args[0], data)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"key": args[0], "epoch": epoch})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s set: epoch %d\n", args[0], epoch)
				return err
			})
		},
	}
	t = addTarget(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func newCacheDelete() *cobra.Command {
	var t *target
	cmd := &cobra.Command{
		Use:               "delete KEY",
		Aliases:           []string{"rm"},
		Short:             "Take a cached value away from all workers",
		Example:           "  tine cache delete motd",
		Args:              arguments(1, 1),
		ValidArgsFunction: completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withMaster(cmd, func(ctx context.Context, r *running) error {
				if err := r.DeleteValue(ctx, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
				return err
			})
		},
	}
	t = addTarget(cmd, false)
	return cmd
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Work with config files",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "check FILE...",
		Short:   "Say whether config files are right, and what is wrong with them where",
		Example: "  tine config check tine.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("config check needs a FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				c, err := supervisor.Load(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", path, summary(c))
			}
			return nil
		},
	})
	return cmd
}

func summary(c *supervisor.Config) string {
	s := count(len(c.Apps), "app")
	if n := len(c.Cache); n > 0 {
		s += ", " + count(n, "cached value")
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/k2"
	"github.com/tinehq/tine/cmd/tine/internal/pm2"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Work with config files",
		Long: `Work with config files. One is as long as this, or has any of the keys of
tine config schema:

  dashboard: 127.0.0.1:7077      # a page to look at; orders need {listen: ..., token_file: ...}
  metrics: 127.0.0.1:9464        # GET /metrics, for Prometheus
  apps:
    web:
      command: ./server          # relative to the file
      listen: :7000
      workers: 4`,
		Example: `  tine config check tine.yaml    # then: tine start -c tine.yaml
  tine config apply              # after a change
  tine config show               # what runs, with all defaults`,
	}
	verbs(cmd, newConfigCheck(), newConfigShow(), newConfigApply(), newConfigSchema(), newConfigImport())
	return cmd
}

func newConfigCheck() *cobra.Command {
	var env string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether config files are right, and what is wrong with them where",
		Long: `Say whether config files are right, and what is wrong with them where. Programs
and env files that are not there are warnings: a file may be for another machine.`,
		Example: `  tine config check tine.yaml
  tine config check --env production --strict tine.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return term.Usagef("config check needs a FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			warnings := 0
			for _, path := range args {
				c, err := file.LoadWith(path, file.LoadOptions{Env: env})
				if err != nil {
					return err
				}
				for _, w := range c.Warnings() {
					warnings++
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", path, w)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", path, summary(c))
			}
			if strict && warnings > 0 {
				return fmt.Errorf("%s, and --strict makes them errors", term.Count(warnings, "warning"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "`NAME` of the environment in the file to check with the rest")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail for warnings too")
	return cmd
}

func newConfigShow() *cobra.Command {
	var t target.Target
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the config that a master runs, with all defaults",
		Example: `  tine config show
  tine config show > tine.yaml   # from flags to a file`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				text, err := r.Config(ctx)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			})
		},
	}
	t.Define(cmd, false)
	return cmd
}

func newConfigApply() *cobra.Command {
	var t target.Target
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Have a master read its config again and make it so",
		Long: `Have a master read its config again and make it so, as SIGHUP does. What can
change at once does, what workers are started with is rolled, and apps that are as
they were are not touched. A config with a fault changes nothing.`,
		Example: `  tine config apply --dry-run    # what would change, and how
  tine config apply`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				result, err := r.Apply(ctx, api.ApplyRequest{Dry: dry})
				if err != nil {
					return err
				}
				return answer(cmd, asJSON, result, func(s term.Screen) { printChanges(s, result) })
			})
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "only say what would change")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	t.Define(cmd, false)
	return cmd
}

func printChanges(out io.Writer, result api.ApplyResult) {
	if len(result.Changes) == 0 {
		fmt.Fprintln(out, "nothing has changed")
		return
	}
	waits := 0
	for _, c := range result.Changes {
		if c.Effect == api.EffectRestart {
			waits++
		}
		fmt.Fprintln(out, describeChange(c))
	}
	switch {
	case !result.Applied:
		fmt.Fprintf(out, "%s, not applied\n", term.Count(len(result.Changes), "change"))
	case waits > 0 && waits == len(result.Changes):
		fmt.Fprintf(out, "%s written down, to take effect when tine is started again\n", term.Count(waits, "change"))
	case waits > 0:
		fmt.Fprintf(out, "%s applied; %d when tine is started again\n", term.Count(len(result.Changes)-waits, "change"), waits)
	default:
		fmt.Fprintf(out, "%s applied\n", term.Count(len(result.Changes), "change"))
	}
}

// describeChange returns a change in one line. The master has replaced secret values.
func describeChange(c api.Change) string {
	was, is := cmp.Or(c.Old, "none"), cmp.Or(c.New, "none")
	switch c.Effect {
	case api.EffectStart, api.EffectStop:
		return fmt.Sprintf("%s: %s", c.Path, c.Effect)
	}
	return strings.ReplaceAll(fmt.Sprintf("%s: %s -> %s (%s)", c.Path, was, is, c.Effect), "\n", " ")
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of config files, for editors",
		Example: `  tine config schema > tine.schema.json
  # then, in the first line of a config, for the YAML language server:
  # yaml-language-server: $schema=tine.schema.json`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(file.Schema())
			return err
		},
	}
}

func newConfigImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Make a config of another tool's",
		Example: "  tine config import pm2 ecosystem.json > tine.yaml\n  tine config import k2 web.config > tine.yaml",
	}
	verbs(cmd, newImportPM2(), newImportK2())
	return cmd
}

func newImportPM2() *cobra.Command {
	return &cobra.Command{
		Use:   "pm2 FILE",
		Short: "Make a config of a PM2 ecosystem file in JSON",
		Long: `Make a config of a PM2 ecosystem file in JSON. The config goes to standard output,
what has no counterpart is listed on standard error.`,
		Example: `  tine config import pm2 ecosystem.json > tine.yaml
  node -e 'console.log(JSON.stringify(require("./ecosystem.config.js")))' > ecosystem.json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, notes, err := pm2.Import(args[0])
			return printImport(cmd, text, notes, err)
		},
	}
}

func newImportK2() *cobra.Command {
	var o k2.Options
	cmd := &cobra.Command{
		Use:   "k2 FILE",
		Short: "Make a gateway's config of the settings of K2's Load Balancer, in XML or JSON",
		Long: `Make a gateway's config of the settings of K2's Load Balancer, in XML or JSON: the
whole file, its section, or lines such as <add server="." pipe="ScriptService"/> and
<add uid="bscSystemCPUAvg" value="1"/>. The config goes to standard output, what is to be
checked is listed on standard error.`,
		Example: `  tine config import k2 web.config > tine.yaml
  tine config import k2 appsettings.json --port 8080 --url 'http://{host}:8081/statistics' > tine.yaml`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, notes, err := k2.Import(args[0], o)
			return printImport(cmd, text, notes, err)
		},
	}
	cmd.Flags().Var(whole(&o.Port), "port", "at which the servers serve HTTP (default 80)")
	cmd.Flags().StringVar(&o.URL, "url", "", "`URL` at which a server tells its statistics (default http://{address}/statistics)")
	return cmd
}

// printImport prints a config, and on standard error its notes.
func printImport(cmd *cobra.Command, text []byte, notes []string, err error) error {
	if err != nil {
		return err
	}
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), n)
	}
	return nil
}

func summary(c *supervisor.Config) string {
	s := term.Count(len(c.Apps), "app")
	if n := len(c.Cache); n > 0 {
		s += ", " + term.Count(n, "cached value")
	}
	return s
}

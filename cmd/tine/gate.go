package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/gateway"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/fleet/targets"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
)

const (
	gateEvery   = time.Second
	gateTimeout = 5 * time.Second
)

// gateFlags say how a gateway picks and delivers. They are those of tine gate and, as that starts its workers by them, of tine gate
// worker.
type gateFlags struct {
	to      []string // members
	members string   // the key of their table; of a worker alone
	pick    string
	key     string
	bounded float64
	retry   []int
	trust   []string
	history int
}

func (g *gateFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&g.pick, "pick", gate.Prequal, "how a server is picked: "+strings.Join(gate.Ways, ", "))
	flags.StringVar(&g.key, "key", "ip", "what the ways by key (crc32-mod, rendezvous, maglev) go by: ip, path, host, header:`NAME`, cookie:NAME or query:NAME")
	flags.Float64Var(&g.bounded, "bounded", 0, "for ways by key: so many times its share of the requests is what a server gets at most, as 1.25; 0: there is no bound")
	flags.IntSliceVar(&g.retry, "retry", nil, "statuses of an answer, of 502, 503 and 504, with which a request that may be sent twice goes to another server")
	flags.StringSliceVar(&g.trust, "trust", nil, "`NETWORK` of proxies before this one, as 10.0.0.0/8, whose X-Forwarded headers are believed")
	flags.Var(whole(&g.history), "history", fmt.Sprintf("how many requests each worker remembers, for tine gate history and tine why: up to %d; 0: none", history.Most))
}

// options of the worker; an error is one of usage.
func (g *gateFlags) options() (gateway.Options, error) {
	o := gateway.Options{Members: g.members, Pick: g.pick, Key: g.key, Bounded: g.bounded, Retry: g.retry, History: g.history}
	for _, text := range g.trust {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return o, term.Usagef("--trust: %q is not a network: write one as 10.0.0.0/8", text)
		}
		o.Trusted = append(o.Trusted, prefix)
	}
	if err := gateway.Check(o); err != nil {
		return o, term.Usage(err)
	}
	return o, nil
}

// command is that of the gateway's workers.
func (g *gateFlags) command() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find the program of the gateway's workers, which is this one: %w", err)
	}
	c := []string{self, "gate", "worker", "--members=" + g.members, "--pick=" + g.pick, "--key=" + g.key}
	if g.bounded != 0 {
		c = append(c, "--bounded="+strconv.FormatFloat(g.bounded, 'g', -1, 64))
	}
	if g.history != 0 {
		c = append(c, "--history="+strconv.Itoa(g.history))
	}
	for _, status := range g.retry {
		c = append(c, "--retry="+strconv.Itoa(status))
	}
	for _, network := range g.trust {
		c = append(c, "--trust="+network)
	}
	return c, nil
}

// gateCommand is the command of tine gate's one app; what is wrong with the flags is found here, before anything runs.
func (f *runFlags) gateCommand(args []string) ([]string, error) {
	switch {
	case f.config != "":
		return nil, term.Usagef("-c: tine gate has no config file; write the gateway into one for tine run: see tine gate --help")
	case len(args) > 0:
		return nil, term.Usagef("tine gate runs no command: %s", strings.Join(args, " "))
	case len(f.listen) == 0:
		return nil, term.Usagef("-l: name the address on which the gateway listens, as :80")
	}
	if err := members.CheckAddresses(f.gate.to); err != nil {
		return nil, term.Usagef("--to: %w", err)
	}
	if _, err := f.gate.options(); err != nil {
		return nil, err
	}
	if f.name == "" {
		f.name = "gate"
	}
	f.gate.members = f.name
	return f.gate.command()
}

// value is the cached value that has the table of members.
func (g *gateFlags) value() config.CacheValue {
	return config.CacheValue{Key: g.members, Members: g.to, Every: gateEvery, Timeout: gateTimeout, Complete: true}
}

func newGate() *cobra.Command {
	f := runFlags{gate: &gateFlags{}}
	cmd := f.command(
		"gate -l ADDRESS --to SERVER[,SERVER...]",
		"Pass HTTP requests on to other servers",
		`Pass HTTP requests on to other servers, each to the one that has room. A gateway is
an app like any other: one worker process per CPU on one address, restarted,
reloaded and upgraded with no lost request. Servers are checked by a connection
every second; a request whose connection is refused goes to another one at once.

In a config a gateway is a cached value and an app:

  cache:
    web: {members: ["10.0.0.1:8080", "10.0.0.2:8080"], every: 1s}
  apps:
    gate: {command: tine gate worker --members web, listen: ":80"}

Servers that are added to the list get requests, and no worker is started anew.`,
		`  tine gate -l :80 --to 10.0.0.1:8080,10.0.0.2:8080
  tine gate -l :80 --to web.internal:8080 --pick rendezvous --key cookie:session
  tine gate members`)
	f.gate.define(cmd.Flags())
	cmd.Flags().StringSliceVar(&f.gate.to, "to", nil, "`SERVERS`, each host:port or the path of a Unix socket; may be repeated")
	cmd.AddCommand(newGateMembers(), newGateHistory(), newGateWorker())
	return cmd
}

func newGateWorker() *cobra.Command {
	var g gateFlags
	cmd := &cobra.Command{
		Use:     "worker --members KEY",
		Short:   "Be a worker of a gateway, below tine: for the command of an app",
		Example: "  command: tine gate worker --members web --pick least",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.members == "" {
				return term.Usagef("--members: name the cached value that has the members")
			}
			o, err := g.options()
			if err != nil {
				return err
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return gateway.Run(o)
		},
	}
	g.define(cmd.Flags())
	cmd.Flags().StringVar(&g.members, "members", "", "`KEY` of the cached value that has the members")
	return cmd
}

func newGateMembers() *cobra.Command {
	var asJSON bool
	var t target.Target
	cmd := &cobra.Command{
		Use:               "members [KEY]",
		Short:             "Show the servers of a gateway, and which of them get requests",
		Example:           "  tine gate members",
		Args:              arguments(0, 1),
		ValidArgsFunction: target.CompleteKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &t, func(ctx context.Context, r *target.Running) error {
				keys := args
				for _, v := range r.Seen.Cache.Values {
					if len(args) == 0 && v.Source == targets.Source {
						keys = append(keys, v.Key)
					}
				}
				if len(keys) == 0 {
					return errors.New("no gateway runs here: no cached value is a table of members")
				}
				tables := map[string]members.Table{}
				for _, key := range keys {
					data, _, err := r.Value(ctx, key)
					if err != nil {
						return err
					}
					if tables[key], err = members.Decode(data); err != nil {
						return fmt.Errorf("cached value %s: %w", key, err)
					}
				}
				return answer(cmd, asJSON, tables, func(s term.Screen) {
					out := term.NewTable(term.Left("GATEWAY", 0), term.Left("MEMBER", 0), term.Left("STATE", 0), term.Right("WEIGHT", 2), term.Left("WHY", 1))
					for _, key := range keys {
						for _, m := range tables[key].Members {
							state := term.Green
							if m.State != members.Ready {
								state = term.Red
							}
							out.Add(key, m.ID, state.Cell(string(m.State)), m.Weight, term.Dash(m.Why))
						}
					}
					out.Write(s, 0)
				})
			})
		},
	}
	t.Define(cmd, false)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

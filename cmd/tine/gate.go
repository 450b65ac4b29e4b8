package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/gateway"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/listen"
)

// gateFlags say how a gateway picks and delivers. They are those of tine gate and, for a table of members that a config has among its
// cached values, of tine gate worker.
type gateFlags struct {
	to      []string // members
	members string   // the key of their table; of a worker alone
	pick    string
	key     string
	bounded float64
	retry   []string
	trust   []string
	history int
	queue   time.Duration
}

func (g *gateFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&g.pick, "pick", policy.Prequal, "how a server is picked: "+strings.Join(policy.Ways, ", "))
	flags.StringVar(&g.key, "key", "ip", "what the ways by key (crc32-mod, rendezvous, maglev) go by: "+policy.Keys)
	flags.Float64Var(&g.bounded, "bounded", 0, "for ways by key: so many times its share of the requests is what a server gets at most, as 1.25; 0: there is no bound")
	flags.StringSliceVar(&g.retry, "retry", nil, "statuses of an answer, of 502, 503 and 504, with which a request that may be sent twice goes to another server")
	flags.StringSliceVar(&g.trust, "trust", nil, "`NETWORK` of proxies before this one, as 10.0.0.0/8, whose X-Forwarded headers are believed")
	flags.Var(optional(&g.queue), "queue", "how long at most a request waits while all servers are full, or none is ready; off: not at all")
	flags.Var(whole(&g.history), "history", fmt.Sprintf("how many requests each worker remembers, for tine gate history and tine why: up to %d; 0: none", policy.MostHistory))
}

// gateway is what a config would have in place of the flags; an error is one of usage.
func (g *gateFlags) gateway() (*config.Gateway, error) {
	c := &config.Gateway{Pick: g.pick, Key: g.key, Bounded: g.bounded, Retry: g.retry, Trust: g.trust, History: g.history, Queue: policy.Queue{Timeout: g.queue}}
	if g.queue == 0 {
		c.Queue.Max = policy.NoQueue
	}
	for _, address := range g.to {
		c.Members = append(c.Members, config.NewGatewayMember(address))
	}
	p := c.Policy("")
	for _, f := range p.Check() {
		return nil, term.Usagef("--%s: %s", f.Field, f.Text)
	}
	return c, nil
}

// gateApp makes an app the gateway of tine gate; what is wrong with the flags is found here, before anything runs.
func (f *runFlags) gateApp(a *config.App, args []string) (err error) {
	switch {
	case f.config != "":
		return term.Usagef("-c: tine gate has no config file; write the gateway into one for tine run: see tine gate --help")
	case len(args) > 0:
		return term.Usagef("tine gate runs no command: %s", strings.Join(args, " "))
	case len(f.listen) == 0:
		return term.Usagef("-l: name the address on which the gateway listens, as :80")
	}
	var apps []config.GatewayMember
	f.gate.to = slices.DeleteFunc(slices.Clone(f.gate.to), func(name string) bool {
		if err != nil || !isAppName(name) {
			return false
		}
		var m config.GatewayMember
		if m, err = appMember(name); err == nil {
			apps = append(apps, m)
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := members.CheckAddresses(f.gate.to); err != nil && (len(apps) == 0 || len(f.gate.to) > 0) {
		return term.Usagef("--to: %w", err)
	}
	if f.name == "" {
		f.name = "gate"
	}
	if a.Gateway, err = f.gate.gateway(); err == nil {
		a.Gateway.Members = append(apps, a.Gateway.Members...)
	}
	return err
}

// isAppName tells the name of an app from an address.
func isAppName(text string) bool {
	return config.AppNamePattern.MatchString(text) && !strings.ContainsAny(text, ":/")
}

// appMember is a running app as a member, at the first of its addresses. Its workers are spread over by the kernel: a gateway in the config
// of the app's own master picks among them.
func appMember(name string) (config.GatewayMember, error) {
	ctx, cancel := context.WithTimeout(context.Background(), valueTimeout)
	defer cancel()
	m := config.GatewayMember{ID: name, Type: name, Weight: 1}
	err := (&target.Target{}).On(ctx, []string{name}, func(r *target.Running) error {
		app, err := r.Single(name, "gate")
		if err != nil {
			return err
		}
		if len(app.Listen) == 0 {
			return fmt.Errorf("app %s listens nowhere: write its listen", name)
		}
		at, err := listen.Parse(app.Listen[0])
		m.Address = at.Reach()
		return err
	})
	if err != nil {
		return m, fmt.Errorf("--to %s: no address, and no app that runs: %w", name, err)
	}
	return m, nil
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

In a config it is an app with a gateway:

  apps:
    gate:
      listen: ":80"
      gateway: {members: ["10.0.0.1:8080", "10.0.0.2:8080"], pick: least}

What is changed there counts at once, and no worker is started anew.`,
		`  tine gate -l :80 --to 10.0.0.1:8080,10.0.0.2:8080
  tine gate -l :80 --to web.internal:8080 --pick rendezvous --key cookie:session
  tine gate members`)
	f.gate.define(cmd.Flags())
	cmd.Flags().StringSliceVar(&f.gate.to, "to", nil, "`SERVERS`, each host:port, the path of a Unix socket or an app that runs here; may be repeated")
	cmd.AddCommand(newGateMembers(), newGatePick(), newGateDrain(false), newGateDrain(true), newGateHistory(), newGateWorker())
	return cmd
}

func newGateWorker() *cobra.Command {
	var g gateFlags
	cmd := &cobra.Command{
		Use:   "worker [--members KEY]",
		Short: "Be a worker of a gateway, below tine: for the command of an app",
		Long: `Be a worker of a gateway, below tine. It is the command of an app that has a gateway
and no command. With --members the servers are those of a cached value, and the
flags say what is done with requests.`,
		Example: `  cache:
    web: {members: ["10.0.0.1:8080", "10.0.0.2:8080"], every: 1s}
  apps:
    gate: {command: tine gate worker --members web --pick least, listen: ":80"}`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := gateway.Options{Members: g.members, Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))}
			c, err := g.gateway()
			if err != nil {
				return err
			}
			o.Policy = c.Policy(g.members)
			return gateway.Run(o)
		},
	}
	g.define(cmd.Flags())
	cmd.Flags().StringVar(&g.members, "members", "", "`KEY` of the cached value that has the servers, for an app without a gateway in its config")
	return cmd
}

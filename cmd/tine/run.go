package main

import (
	"fmt"
	"github.com/tinehq/tine/supervisor/signals"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
)

// runFlags are the flags of tine run. Each is also read from the environment
// variable of its name: --drain-timeout from TINE_DRAIN_TIMEOUT.
type runFlags struct {
	config, env                  string
	name                         string     // of the app, or with a config file of the master
	app                          config.App // its limits and policies; name, addresses and command come from elsewhere
	listen, cache                []string
	workers                      int
	logFormat, logLevel, logFile string
	control, health              string
	stopDelay, stopTimeout       time.Duration
	keeper                       keeperMode
	watchdog                     time.Duration
	upgradeSignal                string
	check                        bool
	gate                         *gateFlags // of tine gate; nil: the app is another one
}

// appFlags describe the one app of a command line. They cannot be used with a config file.
var appFlags = []string{"listen", "workers", "name", "cache", "restart", "rollout",
	"ready-timeout", "drain-delay", "drain-timeout", "kill-after", "policy", "steering", "standby",
	"stall-timeout", "request-timeout", "max-requests", "max-age", "max-rss"}

func newRun() *cobra.Command {
	var f runFlags
	return f.command("run -c FILE | run [-l ADDRESS] [-n WORKERS] -- COMMAND [ARG...]", "Run apps in the foreground until they end or are stopped", `Run apps in the foreground until they end or are stopped. COMMAND is a Go program
that calls worker.Start of github.com/tinehq/tine/worker, and so says when it is
ready: see go doc of that package. Others are ended after --ready-timeout.

Signals: USR2 rolls, HUP reads the config again, TTIN and TTOU add and remove a
worker, USR1 reopens the log file; TERM, INT and QUIT stop gracefully, a second
one stops at once (during --stop-delay it ends that). Above the master is a keeper, which
has the PID that is seen from outside, passes signals on, and starts the master again when
it dies: see --keeper. Each flag can be given as an environment variable too:
--drain-timeout as TINE_DRAIN_TIMEOUT.`,
		`  tine run -c tine.yaml                    # or: tine run tine.yaml
  tine run -l :7000 -n 4 -- ./server --verbose
  tine run -l :7000 --cache 'users=exec:./count-users@5s' -- ./server`)
}

// command makes a verb that runs a master by these flags.
func (f *runFlags) command(use, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := configArgument(cmd, args)
			if err != nil {
				return err
			}
			if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			workingFolder() // first of all: it may execute the program anew
			load := func() (*supervisor.Config, error) { return f.load(cmd.Flags(), args) }
			upgrade, err := signals.ParseUpgrade(f.upgradeSignal)
			if err != nil {
				return term.Usagef("--upgrade-signal: %w", err)
			}
			if f.check {
				return f.checked(load)
			}
			warnOfVariables(cmd, cmd.ErrOrStderr())
			if on, err := f.keeper.wants(here()); err != nil {
				return term.Usage(err)
			} else if on {
				c, err := load()
				if err != nil {
					return err
				}
				return becomeKeeper(c, f.identity(c), f.watchdog)
			}
			return f.runMaster(cmd.Context(), load, upgrade)
		},
	}
	cmd.DisableFlagsInUseLine = true
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false) // flags after the command belong to the command
	f.define(flags)
	flags.BoolVar(&f.check, "check", false, "only say whether the flags and the config file are right: exit status 0")
	completeFlags(cmd)
	return cmd
}

// define adds the flags, with the defaults of an app.
func (f *runFlags) define(flags *pflag.FlagSet) {
	f.app = config.NewApp("defaults")
	a := &f.app
	flags.StringVarP(&f.config, "config", "c", "", "config `FILE`")
	flags.StringVar(&f.env, "env", "", "`NAME` of the environment in the config file that holds, such as production")
	flags.StringArrayVarP(&f.listen, "listen", "l", nil, "`ADDRESS` to serve, as :7000 or unix:/run/web.sock; may be repeated")
	flags.VarP(whole(&f.workers), "workers", "n", "worker processes; 0: one per CPU")
	flags.StringVar(&f.name, "name", "", "`NAME` of the app and its master (default: the command's); with a config file of the master (default: what the file says)")
	flags.StringArrayVar(&f.cache, "cache", nil, "cached value, as `KEY=exec:COMMAND@5s`, KEY=file:PATH@5s or KEY=sql:sqlite:FILE:QUERY@5s; may be repeated")
	flags.StringVar(&a.Restart, "restart", a.Restart, "on-failure, always or never")
	flags.StringVar(&a.Rollout, "rollout", a.Rollout, "surge, or stop_first if there is no room for one more worker")
	flags.Var(span(&a.ReadyTimeout), "ready-timeout", "from a worker's start to ready")
	flags.Var(span(&a.DrainDelay), "drain-delay", "how long at most kept-alive connections are asked to close")
	flags.Var(span(&a.DrainTimeout), "drain-timeout", "how long at most, after that, requests in flight may take")
	flags.Var(span(&a.KillAfter), "kill-after", "from SIGTERM to SIGKILL")
	flags.StringVar(&a.Policy, "policy", a.Policy, "which worker gets a new connection: least (busy), round-robin, random, hash, client-ip or cpu")
	flags.StringVar(&a.Steering, "steering", a.Steering, "the best kind of steering that may be used: auto, ebpf, cbpf or hash (see tine doctor)")
	flags.Var(whole(&a.Standby), "standby", "further workers that are started and wait to take the place of one that ends")
	flags.Var(optional(&a.StallTimeout), "stall-timeout", "how long a worker may be stalled before it is replaced, or off")
	flags.Var(optional(&a.RequestTimeout), "request-timeout", "how long a request may be in flight before its worker is replaced, or off")
	flags.Var(whole(&a.MaxRequests), "max-requests", "after how many requests a worker is replaced; 0: never")
	flags.Var(optional(&a.MaxAge), "max-age", "how long a worker is ready before it is replaced, or off")
	flags.Var(size(&a.MaxRSS), "max-rss", "at how much resident memory a worker is replaced, as 256MiB, or off")
	flags.StringVar(&f.logFormat, "log-format", "", "auto, text or json (default auto: text on a terminal)")
	flags.StringVar(&f.logLevel, "log-level", "", "trace, debug, info, warn or error (default info)")
	flags.StringVar(&f.logFile, "log-file", "", "`FILE` for the log and the workers' output; reopened on SIGUSR1")
	flags.StringVar(&f.health, "health", "", "`ADDRESS` for GET /healthz and GET /readyz, as :8086 (default: nowhere)")
	flags.Var(span(&f.stopDelay), "stop-delay", "from SIGTERM to the first drain; /readyz fails meanwhile, and a second SIGTERM skips it")
	flags.Var(stopTimeout(&f.stopTimeout), "stop-timeout", "a stop ends before this time, at which the system kills Tine; auto: 10s as PID 1, else off")
	flags.StringVar(&f.control, "control", "", "`PATH` of the control socket or its folder, or off (default: where tine ls finds it)")
	flags.StringVar(&f.upgradeSignal, "upgrade-signal", "", "`NAME` of a signal that does what tine upgrade does, as PWR or RTMIN+1 (default: none)")
	f.keeper, f.watchdog = keeperAuto, watchdogDefault
	flags.Var(modeFlag(&f.keeper), "keeper", "a process above the master that starts it again when it dies: auto, on or off (auto: on, but not below a systemd that stores descriptors)")
	flags.Var(optional(&f.watchdog), "watchdog", "how long a master may hang before the keeper replaces it, or off")
}

// envCheck makes --check look at the flags alone. A master sets it before an upgrade: the new master takes over the config
// that runs, and not the file on disk.
const envCheck = "TINE_CHECK_FLAGS"

func (f *runFlags) checked(load func() (*supervisor.Config, error)) error {
	if f.config != "" && os.Getenv(envCheck) != "" {
		return nil
	}
	_, err := load()
	return err
}

// load makes the config from the file or from the flags. Relative paths in flags start at workingFolder.
func (f *runFlags) load(flags *pflag.FlagSet, args []string) (*supervisor.Config, error) {
	c, err := f.source(flags, args)
	if err != nil {
		return nil, err
	}
	override(&c.Log.Format, f.logFormat)
	override(&c.Log.Level, f.logLevel)
	override(&c.Log.File, f.logFile)
	override(&c.Control, f.control)
	c = c.In(workingFolder())
	override(&c.Health.Listen, f.health)
	f.stopTimes(c, flags)
	if nameMaster(c); f.config != "" && f.name != "" {
		c.Name = f.name
	}
	if c.Control == "" {
		c.Control = control.DefaultPath(c.Name)
	} else if target.IsFolder(c.Control) {
		c.Control = filepath.Join(c.Control, target.SocketName(c.Name))
	}
	return c, blameFlags(flags, c, c.Validate())
}

// nameMaster gives a master whose config has no name the name of its only app, else of the folder of the config: each master
// needs a name of its own for its socket.
func nameMaster(c *supervisor.Config) {
	switch {
	case len(c.Apps) == 1 && c.Name == "":
		c.Name = c.Apps[0].Name
	case len(c.Apps) > 1 && c.Path() != "" && c.Name == "tine":
		if path, err := filepath.Abs(c.Path()); err == nil && filepath.Base(filepath.Dir(path)) != "/" {
			c.Name = filepath.Base(filepath.Dir(path))
		}
	}
}

func (f *runFlags) source(flags *pflag.FlagSet, args []string) (*supervisor.Config, error) {
	a := f.app
	if f.gate != nil {
		if err := f.gateApp(&a, args); err != nil {
			return nil, err
		}
	}
	if f.config != "" {
		for _, name := range appFlags {
			if name != "name" && flags.Changed(name) {
				return nil, term.Usagef("--%s and a config file: write it in %s", name, f.config)
			}
		}
		if len(args) > 0 {
			return nil, term.Usagef("a command (%s) and a config file: write it in %s", args[0], f.config)
		}
		if workingFolder() == "" && !filepath.IsAbs(f.config) {
			return nil, fmt.Errorf("cannot read the config %s: %w", f.config, errFolderGone)
		}
		return file.LoadWith(f.config, file.LoadOptions{Env: f.env, Folder: workingFolder()})
	}
	if flags.Changed("env") {
		return nil, term.Usagef("--env chooses an environment of a config file: give one with -c FILE")
	}
	if len(args) == 0 && f.gate == nil {
		return nil, term.Usagef("nothing to run: give a config with -c FILE, or a command after -- (see tine run --help)")
	}
	c := config.Single(f.name, f.listen, f.workers, args)
	a.Name, a.Command, a.Listen, a.Workers = c.Apps[0].Name, args, f.listen, f.workers
	c.Apps[0] = a
	for _, text := range f.cache {
		v, err := file.ParseCacheFlag(text)
		if err != nil {
			return nil, term.Usage(err)
		}
		c.Cache = append(c.Cache, v)
	}
	return c, nil
}

func override(field *string, value string) {
	if value != "" {
		*field = value
	}
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

func newStart() *cobra.Command {
	var f runFlags
	var o orders
	var slot func() *int
	timeout := 5 * time.Minute
	cmd := &cobra.Command{
		Use:        "start -c FILE | start [-l ADDRESS] [-n WORKERS] -- COMMAND [ARG...] | start APP",
		SuggestFor: []string{"up"},
		Short:      "Run apps in the background, and return when they are ready; or start an app again",
		Long: `Run apps in the background, and return when all workers are ready. The flags are
those of run, and COMMAND is what it is there: a Go program that calls worker.Start of
github.com/tinehq/tine/worker. When the workers do not become ready, the last lines of
the log are shown and the exit status is that of the master. When an app is not started
because what it depends on has failed, the others run and the exit status is 1. Warnings
of the log are shown in any case. The log, and what the
workers write, is in the log file that the config names, else below
$XDG_STATE_HOME/tine, for root below /var/log/tine. See startup for a start with the
machine.

With the name of an APP of a running master, start an app that was stopped, or with
--slot a slot that was drained.`,
		Example: `  tine start -c tine.yaml                  # or: tine start tine.yaml
  tine start -l :7000 -n 4 -- ./server
  tine start web                           # after tine stop web`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			names, _ := target.CompleteApp(cmd, args, text)
			return names, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := configArgument(cmd, args)
			if err != nil {
				return err
			}
			if first := firstWord(cmd, args); first != "" && !strings.Contains(first, "/") {
				return startApp(cmd, args, &o, slot)
			}
			if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			if slot() != nil || o.App != "" {
				return term.Usagef("--slot and --app are for an app that runs: tine start APP --slot SLOT")
			}
			c, err := f.load(cmd.Flags(), args)
			if err != nil {
				return err
			}
			warnOfVariables(cmd, cmd.ErrOrStderr())
			return startMaster(cmd, c, f.identity(c), masterArgs(cmd.Flags(), args), timeout)
		},
	}
	cmd.DisableFlagsInUseLine = true
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false)
	f.define(flags)
	completeFlags(cmd)
	flags.Var(span(&timeout), "timeout", "how long to wait for the workers; the start goes on after it")
	flags.StringVarP(&o.App, "app", "a", "", "`NAME` of the app to start again")
	flags.StringVarP(&o.Master, "master", "m", "", "`NAME` of the master of the app to start again")
	flags.StringVar(&o.reason, "reason", "", "`TEXT` for the events, for an app that is started again")
	flags.BoolVar(&o.json, "json", false, "print each step as one JSON document a line, for an app that is started again")
	slot = slotFlag(cmd, "for an app that runs: the slot that was drained")
	return cmd
}

// notForMaster are the flags that start has and run does not.
var notForMaster = []string{"timeout", "app", "master", "reason", "json", "slot"}

// describesMaster reports whether the flags describe what to run.
func describesMaster(flags *pflag.FlagSet) bool {
	found := false
	flags.Visit(func(f *pflag.Flag) {
		found = found || f.Name == "config" || isAppFlag(f.Name)
	})
	return found
}

// firstWord returns the first argument if it may be the name of an app: it is not behind a --, and no flag describes what to
// run. The name of an app has no slash. Empty: there is none.
func firstWord(cmd *cobra.Command, args []string) string {
	if describesMaster(cmd.Flags()) || cmd.ArgsLenAtDash() >= 0 {
		return ""
	}
	if a := cmd.Flags().Lookup("app").Value.String(); len(args) == 0 {
		return a
	}
	return args[0]
}

// configArgument reads tine run FILE as tine run -c FILE, with the flags behind it. Behind a -- the file is a command.
func configArgument(cmd *cobra.Command, args []string) ([]string, error) {
	flags := cmd.Flags()
	if len(args) == 0 || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(args[0])) || cmd.ArgsLenAtDash() >= 0 || describesMaster(flags) {
		return args, nil
	}
	flags.SetInterspersed(true) // flags may follow a config file
	if err := flags.Parse(args); err != nil {
		return nil, badFlag(cmd, err)
	}
	if flags.NArg() > 1 {
		return nil, term.Usagef("too many arguments: %s: a config file stands alone; to run it as a program: %s -- %s",
			flags.Arg(1), cmd.CommandPath(), strings.Join(args, " "))
	}
	if err := flags.Set("config", args[0]); err != nil {
		return nil, term.Usage(err)
	}
	return nil, nil
}

// startApp orders a running master to start an app, or a slot of it, again.
func startApp(cmd *cobra.Command, args []string, o *orders, slot func() *int) error {
	flags := cmd.Flags()
	flags.SetInterspersed(true) // flags may follow the name of an app
	if err := flags.Parse(args); err != nil {
		return badFlag(cmd, err)
	}
	if flags.NArg() > 1 {
		return term.Usagef("to run a program, write tine start -- %s", strings.Join(args, " "))
	}
	o.Socket = flags.Lookup("control").Value.String()
	err := o.whole(cmd, flags.Args(), api.Order{Verb: api.VerbStart, Slot: slot()}, "started")
	var unknown *target.UnknownAppError
	var none *term.ExitError
	if name := strings.Join(flags.Args(), ""); name != "" && (errors.As(err, &none) && none.Code == term.ExitNotRunning ||
		errors.As(err, &unknown)) {
		return fmt.Errorf("%w; to run a program: tine start -- %s", err, name)
	}
	return err
}

// masterArgs returns the arguments of the master: run, with the flags and arguments of start.
func masterArgs(flags *pflag.FlagSet, args []string) []string {
	all := []string{"run"}
	flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(notForMaster, f.Name) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				all = append(all, "--"+f.Name+"="+v)
			}
			return
		}
		all = append(all, "--"+f.Name+"="+f.Value.String())
	})
	if len(args) > 0 {
		all = append(append(all, "--"), args...)
	}
	return all
}

// startMaster starts a master in the background and waits until it is ready.
func startMaster(cmd *cobra.Command, c *supervisor.Config, id identity, args []string, timeout time.Duration) error {
	if err := refuseSecond(cmd.Context(), id, c, cmd.ErrOrStderr()); err != nil {
		return err
	}
	if c.Path() != "" {
		// A fault that keeps an app from starting ends the start. The others would be in the log only.
		for _, w := range c.Warnings() {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", c.Path(), w)
		}
	}
	path := c.Log.File
	if path == "" {
		var err error
		if path, err = defaultLogFile(c.Name); err != nil {
			return err
		}
		args = slices.Insert(args, 1, "--log-file="+path)
	}
	const how = os.O_CREATE | os.O_APPEND | os.O_RDWR | syscall.O_NOCTTY
	log, err := os.OpenFile(path, how, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("cannot make the folder of the log: %w", err)
		}
		log, err = os.OpenFile(path, how, 0o640)
	}
	if err != nil {
		return fmt.Errorf("cannot open the log file: %w", err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		from = 0 // such as a FIFO, or /dev/null
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the program of tine: %w", err)
	}
	told, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot start in the background: %w", err)
	}
	defer told.Close()
	master := exec.Command(self, args...)
	master.Stdout, master.Stderr = log, log
	master.ExtraFiles = []*os.File{tell}
	master.Env = append(os.Environ(), envStart+"=3")
	master.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = master.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("cannot start in the background: %w", err)
	}
	if timeout > 0 {
		_ = told.SetReadDeadline(time.Now().Add(timeout)) // a pipe has deadlines
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, func() { stopAgain(c, master.Process) })()
	line, err := bufio.NewReader(told).ReadString('\n')
	switch {
	case line == readyWord:
		// The master runs on, and this process does not wait for its end.
		return started(cmd, c, master.Process.Pid, path)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("not ready after %s: it goes on in the background, see tine status (pid %d, log %s)", timeout, master.Process.Pid, path)
	}
	return endedEarly(cmd, c, master, ctx.Err() != nil, path, from)
}

// stopAgain stops the process that was started, and the keeper that has taken its place if it has died.
func stopAgain(c *supervisor.Config, master *os.Process) {
	_ = master.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), target.AnswerTimeout)
	defer cancel()
	client := control.NewClient(c.Control)
	defer client.Close()
	if st, err := client.Status(ctx); err == nil && foremost(st) != master.Pid {
		_ = syscall.Kill(foremost(st), syscall.SIGTERM)
	}
}

// notRunning is an error if a master answers at the control socket of c. It finds those of an older tine, which claim no name.
func notRunning(ctx context.Context, c *supervisor.Config) error {
	if c.Control == supervisor.ControlOff {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, target.AnswerTimeout)
	defer cancel()
	client := control.NewClient(c.Control)
	defer client.Close()
	st, err := client.Status(ctx)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return nil
	case err != nil && ctx.Err() == nil:
		return nil // such as no permission: the new master will listen elsewhere, and log it
	case err != nil:
		return fmt.Errorf("cannot see whether %s runs already: %w", c.Name, err)
	}
	return fmt.Errorf("%s runs already (pid %d): tine reload replaces its workers; another one needs another --name", st.Name, foremost(st))
}

// endedEarly reports a master that ended before it was ready, with the end of its log.
func endedEarly(cmd *cobra.Command, c *supervisor.Config, master *exec.Cmd, interrupted bool, path string, from int64) error {
	err := master.Wait()
	if interrupted {
		return &term.ExitError{Code: term.ExitInterrupted, Text: "stopped again, as asked"}
	}
	if err == nil {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has finished already: log %s\n", c.Name, path)
		return err
	}
	s := term.NewScreen(cmd.ErrOrStderr())
	for _, line := range logTail(path, from) {
		fmt.Fprintln(s, "  | "+s.Harmless(line))
	}
	code := master.ProcessState.ExitCode()
	what := "exit status " + strconv.Itoa(code)
	if code < 0 { // by a signal
		code, what = term.ExitFailed, master.ProcessState.String()
	}
	return &term.ExitError{Code: code, Text: fmt.Sprintf("%s did not start: %s (log %s)", c.Name, what, path)}
}

// defaultLogFile returns the log file of a master in the background whose config has none, and makes its folder.
func defaultLogFile(name string) (string, error) {
	dir, err := target.LogFolder()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make the folder of the log: %w: name a file with --log-file", err)
	}
	file := target.SocketName(name) // a valid name of a file
	return filepath.Join(dir, strings.TrimSuffix(file, filepath.Ext(file))+".log"), nil
}

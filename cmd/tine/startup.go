package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/config/file"
)

// systemctlTimeout bounds each call of systemctl.
const systemctlTimeout = 30 * time.Second

// unit is a systemd service that runs one master.
type unit struct {
	name string   // of the master
	dir  string   // its working folder
	args []string // its command line, from the program on
	user bool     // for the systemd of the user
	path string   // PATH of tine startup, in which the commands of the apps are found
}

func newStartup() *cobra.Command {
	var t target.Target
	var config, env string
	var user, install, uninstall bool
	cmd := &cobra.Command{
		Use:        "startup [-c FILE] [--install | --uninstall]",
		SuggestFor: []string{"save", "resurrect", "unstartup", "enable", "disable"},
		Short:      "Have tine started with the machine, by systemd",
		Long: `Have tine started with the machine, by systemd. Prints the unit and what to do with it;
with --install writes and enables it, with --uninstall takes it away. Nothing that
runs is started or stopped by it.

With -c the unit is for a config file; without, for the master that runs now, as
tine start or tine run was called. As root it is a unit of the system, else, or with
--user, one of the user: loginctl enable-linger lets those run without a login.`,
		Example: `  tine startup -c /srv/shop/tine.yaml
  tine start -c tine.yaml && tine startup --install
  tine startup -c tine.yaml --uninstall`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if install && uninstall {
				return term.Usagef("--install and --uninstall: choose one")
			}
			u, err := startupUnit(cmd.Context(), &t, config, env)
			if err != nil {
				return err
			}
			u.user = user || os.Geteuid() != 0
			file, err := u.file()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case install:
				return u.install(cmd.Context(), file, func(text string) { fmt.Fprintln(out, text) })
			case uninstall:
				return u.uninstall(cmd.Context(), file, func(text string) { fmt.Fprintln(out, text) })
			}
			_, err = fmt.Fprintf(out, "# tine startup --install would write this to %s and call\n#   %s\n#   %s\n\n%s",
				file, strings.Join(u.systemctl("daemon-reload"), " "), strings.Join(u.systemctl("enable", u.service()), " "), u.text())
			return err
		},
	}
	t.Define(cmd, false)
	flags := cmd.Flags()
	flags.StringVarP(&config, "config", "c", "", "config `FILE` to run")
	flags.StringVar(&env, "env", "", "`NAME` of the environment in the config file that holds")
	flags.BoolVar(&user, "user", false, "a unit of the user, not of the system")
	flags.BoolVar(&install, "install", false, "write and enable the unit")
	flags.BoolVar(&uninstall, "uninstall", false, "disable and remove the unit")
	return cmd
}

// startupUnit returns the unit for a config file, or for the master that runs.
func startupUnit(ctx context.Context, t *target.Target, path, env string) (unit, error) {
	self, err := os.Executable()
	if err != nil {
		return unit{}, fmt.Errorf("cannot find the program of tine: %w", err)
	}
	u := unit{path: os.Getenv("PATH")}
	if path != "" {
		c, err := file.LoadWith(path, file.LoadOptions{Env: env})
		if err != nil {
			return u, err
		}
		nameMaster(c)
		file, err := filepath.Abs(path)
		if err != nil {
			return u, fmt.Errorf("cannot find the config: %w", err)
		}
		u.name, u.dir, u.args = c.Name, filepath.Dir(file), []string{self, "run", "-c", file}
		if env != "" {
			u.args = append(u.args, "--env", env)
		}
		return u, nil
	}
	r, err := t.Find(ctx)
	if err != nil {
		return u, fmt.Errorf("%w; or give -c FILE", err)
	}
	defer r.Close()
	u.name = r.Seen.Name
	if u.dir, u.args, err = commandLine(r.Seen.PID); err != nil {
		return u, fmt.Errorf("cannot see how %s was started: %w: give -c FILE", u.name, err)
	}
	u.args[0] = self
	return u, nil
}

// commandLine returns the working folder and the command line of a tine run, from proc(5).
func commandLine(pid int) (dir string, args []string, err error) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	if dir, err = os.Readlink(proc + "cwd"); err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(proc + "cmdline")
	if err != nil {
		return "", nil, err
	}
	args = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if len(args) < 2 || args[1] != "run" {
		return "", nil, fmt.Errorf("pid %d is not a tine run: %s", pid, strings.Join(args, " "))
	}
	return dir, args, nil
}

func (u unit) service() string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r) {
			return r
		}
		return '-'
	}, u.name)
	return "tine-" + name + ".service"
}

func (u unit) file() (string, error) {
	if !u.user {
		return "/etc/systemd/system/" + u.service(), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the folder of the user's units: %w", err)
	}
	return filepath.Join(dir, "systemd", "user", u.service()), nil
}

// startupService is the unit; startupRestarts and startupSupervision are the parts of it that scripts/packaging/tine.service
// has too. They are put together by replacing words, because text/template makes the linker keep all methods, 4 MB of them.
var (
	//go:embed startup.service
	startupService string
	//go:embed startup_restarts.service
	startupRestarts string
	//go:embed startup_supervision.service
	startupSupervision string
)

// text returns the unit file: see systemd.service(5).
func (u unit) text() string {
	words := make([]string, len(u.args))
	for i, a := range u.args {
		words[i] = unitWord(a)
	}
	network, target := "Wants=network-online.target\nAfter=network-online.target\n", "multi-user"
	if u.user {
		network, target = "", "default"
	}
	literal := func(text string) string { return strings.ReplaceAll(text, "%", "%%") }
	return strings.NewReplacer(
		"@DESCRIPTION@", literal(u.name)+", run by tine",
		"@NETWORK@", network,
		"@RESTARTS@", startupRestarts,
		"@DIR@", literal(u.dir),
		"@PATH@", unitQuote("PATH="+literal(u.path)),
		"@COMMAND@", strings.Join(words, " "),
		"@RUNTIME@", strings.TrimSuffix(u.service(), ".service"),
		"@SUPERVISION@", startupSupervision,
		"@TARGET@", target,
	).Replace(startupService)
}

// unitWord returns a word of a command line for a unit, with the characters escaped that systemd would replace: see "Command
// lines" in systemd.service(5) and "Specifiers" in systemd.unit(5).
func unitWord(word string) string {
	return unitQuote(strings.NewReplacer("%", "%%", "$", "$$").Replace(word))
}

func unitQuote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(word) + `"`
}

func (u unit) systemctl(args ...string) []string {
	if u.user {
		return append([]string{"systemctl", "--user"}, args...)
	}
	return append([]string{"systemctl"}, args...)
}

func (u unit) call(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, systemctlTimeout)
	defer cancel()
	words := u.systemctl(args...)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		if text != "" {
			text = ": " + text
		}
		return fmt.Errorf("%s: %w%s", strings.Join(words, " "), err, text)
	}
	return nil
}

func (u unit) install(ctx context.Context, file string, say func(string)) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of the unit: %w", err)
	}
	if err := os.WriteFile(file, []byte(u.text()), 0o644); err != nil {
		return fmt.Errorf("cannot write the unit: %w", err)
	}
	say("written: " + file)
	for _, args := range [][]string{{"daemon-reload"}, {"enable", u.service()}} {
		if err := u.call(ctx, args...); err != nil {
			return fmt.Errorf("the unit is written, but not enabled: %w", err)
		}
	}
	say("enabled: " + u.service() + " starts with the machine")
	say("what runs now goes on; to hand it to systemd: tine stop, then " + strings.Join(u.systemctl("start", u.service()), " "))
	return nil
}

func (u unit) uninstall(ctx context.Context, file string, say func(string)) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("cannot uninstall: %w", err)
	}
	disabled := u.call(ctx, "disable", u.service())
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("cannot remove the unit: %w", err)
	}
	say("removed: " + file)
	if err := errors.Join(disabled, u.call(ctx, "daemon-reload")); err != nil {
		return fmt.Errorf("the unit is removed, but systemd does not know: %w", err)
	}
	return nil
}

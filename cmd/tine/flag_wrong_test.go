package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

// TestWrongFlagsAreNamed: a value of a flag that a config may not have is a wrong command line, and the error names the flag.
func TestWrongFlagsAreNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tine.yaml")
	if err := os.WriteFile(file, []byte("apps:\n  web: {command: ./server, policy: leest}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, env []string
		code      int
		begin     string
	}{
		{[]string{"-l", "22001"}, nil, term.ExitUsage, `--listen: bad address "22001": a port needs a colon`},
		{[]string{"-l", ":1", "-l", ":1"}, nil, term.ExitUsage, "--listen: :1 is in use twice"},
		{[]string{"-n", "-2"}, nil, term.ExitUsage, "--workers: -2 is negative"},
		{[]string{"-n", "-2", "--policy", "leest"}, nil, term.ExitUsage, `--workers: -2 is negative: write 0 to 1024; --policy: "leest" is not known`},
		{[]string{"--name", "a.b", "--restart", "no"}, nil, term.ExitUsage, `--restart: "no" is not known`},
		{[]string{"--name", "a/b"}, nil, term.ExitUsage, `--name: "a/b" is not a name`},
		{[]string{"--drain-timeout", "-3s"}, nil, term.ExitUsage, "--drain-timeout: -3s is negative"},
		{[]string{"--max-rss", "3"}, nil, term.ExitUsage, "--max-rss: 3 bytes is too little"},
		{[]string{"--log-level", "loud"}, nil, term.ExitUsage, `--log-level: "loud" is not known`},
		{[]string{"--health", "8086"}, nil, term.ExitUsage, `--health: bad address "8086"`},
		{nil, []string{"TINE_LISTEN=7000"}, term.ExitUsage, `TINE_LISTEN in the environment: bad address "7000"`},
		{[]string{"-c", file}, nil, term.ExitFailed, file + ":2:36: apps.web.policy: "},
	} {
		var f runFlags
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		f.define(flags)
		args := c.args
		if len(args) == 0 || args[0] != "-c" {
			args = append(args, "--", "./server")
		}
		if err := flags.Parse(args); err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		lookup := func(name string) (string, bool) {
			for _, e := range c.env {
				if value, ok := strings.CutPrefix(e, name+"="); ok {
					return value, true
				}
			}
			return "", false
		}
		err := fromEnvironment(flags, lookup)
		if err == nil {
			_, err = f.load(flags, flags.Args())
		}
		var text bytes.Buffer
		if code := term.Report(&text, err); code != c.code || !strings.HasPrefix(text.String(), "tine: "+c.begin) {
			t.Errorf("%v %v: exit status %d, want %d: %q, want it to begin with %q", c.args, c.env, code, c.code, text.String(), c.begin)
		}
	}
}

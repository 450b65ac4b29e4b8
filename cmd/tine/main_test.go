package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/keeper"
)

// The test binary plays these parts, told apart by the name that it is started by:
//
//	tine.test   the tests
//	tine        run(args), as the real command: what it does is seen by the race detector
//	limit       sets a limit of another process of its user (limits_test.go)
//	member      a worker that can be told to misbehave (member_test.go)
//
// so that nothing has to be built and every test is about real processes. Those tests
// look into /proc and are for Linux.
var roles = map[string]func(args []string) int{"tine": tineMain, "member": memberMain}

// tineMain is main.
func tineMain(args []string) int {
	keeper.Main()
	step = failAtStep
	if text := os.Getenv("TEST_UPGRADE_TIMEOUT"); text != "" {
		upgradeTimeout, _ = time.ParseDuration(text)
		preflightTimeout = upgradeTimeout
	}
	return run(args)
}

// startedBy is the process that has started this one: later its parent may be another.
var startedBy = os.Getppid()

// failAtStep does what the file "steps" in the master's folder has for a step of an upgrade: lines of a step and what goes
// wrong at it.
func failAtStep(at string) {
	text, _ := os.ReadFile(filepath.Join(os.Getenv("MEMBER_CONTROL"), "steps"))
	for line := range strings.Lines(string(text)) {
		if name, what, _ := strings.Cut(strings.TrimSpace(line), " "); name == at {
			switch what {
			case "die":
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			case "exit":
				os.Exit(1)
			case "hang":
				select {}
			case "kill the old one":
				_ = syscall.Kill(startedBy, syscall.SIGKILL)
			}
		}
	}
}

// Where it is found under each name.
var (
	tinePath   string
	memberPath string
	limitPath  string
)

func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	if play, ok := roles[name]; ok {
		os.Exit(play(os.Args[1:]))
	}
	if os.Getenv("MEMBER_CONTROL") != "" { // a worker by a name that a test has given it
		os.Exit(memberMain(nil))
	}
	testscript.Main(parts{m}, map[string]func(){
		"tine": func() { os.Exit(tineMain(os.Args[1:])) },
	})
}

// parts puts the names on disk around the tests.
type parts struct{ m *testing.M }

func (p parts) Run() int {
	dir, err := os.MkdirTemp("", "tine-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // other users start it too
	}
	if err == nil {
		tinePath, err = part(dir, "tine")
	}
	if err == nil {
		memberPath, err = part(dir, "member")
	}
	if err == nil {
		limitPath, err = part(dir, "limit")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot prepare the tests:", err)
		return 1
	}
	// Without a keeper, which is quicker, but in the tests that ask for one: kept. TINE_KEEPER=on puts one above every master.
	if os.Getenv("TINE_KEEPER") == "" {
		os.Setenv("TINE_KEEPER", "off")
	}
	// What else runs on this machine is none of the tests' business.
	if os.Getenv(claim.EnvWorld) == "" {
		os.Setenv(claim.EnvWorld, filepath.Join(dir, "world"))
	}
	// The race detector would otherwise hold up each exit for a second, and a race in
	// a child shall be an exit status that no test takes for a good one.
	os.Setenv("GORACE", "atexit_sleep_ms=0 halt_on_error=1")
	// The tests wait more than they compute; a flag on the command line still wins.
	_ = flag.Set("test.parallel", "8")
	return p.m.Run()
}

// part gives the test binary another name: no link, because a program knows itself
// by what its links lead to.
func part(dir, name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if os.Link(self, path) == nil {
		return path, nil
	}
	b, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, b, 0o755)
}

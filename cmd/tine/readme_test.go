//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	patiently "github.com/tinehq/tine/ipc/eventually"
)

// A command of the README's code blocks is run as it stands there, but for these. Each entry must be needed.
var (
	// notRun has the reason why a command is not run.
	notRun = map[string]string{
		"go install github.com/tinehq/tine/cmd/tine@latest": "it needs the network, and would test another commit",
		"make build": "the test binary is tine itself, and the test builds the demo",
	}
	// runAs has what is run in place of a part of a command: the test has no terminal to watch, other processes on the machine
	// are named tine too, and the PID in the README is an example.
	runAs = map[string]string{
		"make run":             "bin/demo -setup -db demo.db && bin/tine start -c cmd/demo/tine.yaml",
		"$(pgrep -o -x tine)":  "$(tine status --json | sed -n 's/.*\"keeper_pid\": \\([0-9]*\\).*/\\1/p')",
		"$(pgrep -n -x tine)":  "$(tine status --json | sed -n 's/^  \"pid\": \\([0-9]*\\).*/\\1/p')",
		"kill -9 4733":         "kill -9 $(curl -s localhost:$PORT | grep -oE '[0-9]+' | head -n 1)",
		"/run/tine/":           "$TINE_RUNTIME_DIR/",
		"curl -X":              "curl -s -X",
		"curl localhost":       "curl -s localhost",
		"sleep 5; ":            "", // the command is tried until it answers as the README says
		"localhost:7000":       "localhost:$PORT",
		" :7000":               " :$PORT",
		"127.0.0.1:7077":       "127.0.0.1:$PORT2",
		"127.0.0.1:9464":       "127.0.0.1:$PORT3",
		"tine start -c tine.y": "tine start --name shop -c tine.y",
	}
)

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// readme is one reading of the README: a folder as a checkout has it, with a world of masters of its own.
type readme struct {
	t     *testing.T
	dir   string
	env   []string
	ports map[string]string // by the variable that a replacement names
	used  map[string]bool   // entries of notRun and runAs
}

// TestReadme does what the README says, from its first code block to its last: the commands, with the answers that it shows,
// the program and the config.
func TestReadme(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not there", tool)
		}
	}
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newReadme(t)
	for _, match := range block.FindAllStringSubmatch(string(page), -1) {
		kind, text := match[1], match[2]
		switch kind {
		case "sh":
			for line := range strings.Lines(text) {
				command, _, _ := strings.Cut(line, "  #")
				r.run(strings.TrimSpace(command), nil)
			}
		case "console":
			r.console(text)
		case "go":
			r.run("tine stop", nil) // the demo, which Ctrl-C ends for a reader
			r.build("server", text)
		case "yaml":
			r.run("tine stop", nil) // the next commands want to be about the only master
			write(t, r.dir, "tine.yaml", r.replaced(text))
		default:
			t.Errorf("a block of %s: this test does not know what to do with it", kind)
		}
	}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(notRun)), slices.Collect(maps.Keys(runAs))) {
		if !r.used[key] {
			t.Errorf("the README does not say %q any more: take it out of the tables", key)
		}
	}
}

func newReadme(t *testing.T) *readme {
	t.Helper()
	dir := folder(t)
	r := &readme{t: t, dir: dir, used: map[string]bool{}, ports: map[string]string{}}
	for _, name := range []string{"PORT", "PORT2", "PORT3"} {
		r.ports["$"+name] = fmt.Sprint(freePort(t))
	}
	world := filepath.Join(dir, "run")
	r.env = append(os.Environ(), "TINE_KEEPER=on", "TINE_RUNTIME_DIR="+world, "TINE_LOG_FILE="+filepath.Join(dir, "log"), "HOME="+dir,
		"PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "README_TEST="+dir)
	for _, sub := range []string{"bin", "cmd/demo", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(tinePath, filepath.Join(dir, "bin", "tine")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-race="+setting("-race", "false"), "-o", filepath.Join(dir, "bin"), "../demo").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the demo: %v\n%s", err, out)
	}
	config, err := os.ReadFile("../demo/tine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("every: 5s", "every: 50ms", ":7000", ":"+r.ports["$PORT"]).Replace(string(config))
	write(t, dir, "cmd/demo/tine.yaml", text)
	t.Cleanup(r.end)
	return r
}

// end stops what the commands have started. What does not stop is killed: it carries the folder in its environment.
func (r *readme) end() {
	if out, err := r.do("tine stop --now"); err != nil && r.t.Failed() {
		r.t.Logf("at the end: %v: %s", err, out)
	}
	mark := []byte("README_TEST=" + r.dir)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		var pid int
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, mark) {
			if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// replaced is a text of the README as this test runs it.
func (r *readme) replaced(text string) string {
	for _, key := range slices.SortedFunc(maps.Keys(runAs), func(a, b string) int { return len(b) - len(a) }) {
		if strings.Contains(text, key) {
			r.used[key] = true
			text = strings.ReplaceAll(text, key, runAs[key])
		}
	}
	for _, variable := range slices.Backward(slices.Sorted(maps.Keys(r.ports))) { // $PORT2 before $PORT
		text = strings.ReplaceAll(text, variable, r.ports[variable])
	}
	return text
}

func (r *readme) do(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patiently.Patience())
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.WaitDelay = patiently.Patience()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	numbers = regexp.MustCompile(`[0-9]+`)
	logPath = regexp.MustCompile(`log \S+`)
	spaces  = regexp.MustCompile(`[ \t]+`)
)

// shape is an answer without what is another one each time: numbers, the folder of the log, the width of columns.
func shape(text string) string {
	text = numbers.ReplaceAllString(logPath.ReplaceAllString(text, "log PATH"), "N")
	return strings.TrimSpace(spaces.ReplaceAllString(text, " "))
}

// run runs a command, which must succeed and, if the README shows an answer, answer so.
func (r *readme) run(command string, answer *string) {
	r.t.Helper()
	if command == "" {
		return
	}
	if why, ok := notRun[command]; ok {
		r.used[command] = true
		r.t.Logf("NOT RUN: %s: %s", command, why)
		return
	}
	as := r.replaced(command)
	try := func() error {
		out, err := r.do(as)
		switch {
		case err != nil:
			return fmt.Errorf("$ %s\n%s%w", as, out, err)
		case answer != nil && shape(out) != shape(r.replaced(*answer)):
			return fmt.Errorf("$ %s\n%s\nbut the README shows\n%s", as, out, *answer)
		}
		return nil
	}
	if strings.HasPrefix(command, "sleep 5; ") {
		// The new value reaches one worker after the other.
		want := strings.TrimSpace((*answer)[strings.LastIndex(*answer, " ")+1:])
		patiently.NoError(r.t, command, func() error {
			for range 20 {
				if out, err := r.do(as); err != nil || !strings.HasSuffix(strings.TrimSpace(out), ": "+want) {
					return fmt.Errorf("%v: %s", err, out)
				}
			}
			return try()
		})
		return
	}
	if err := try(); err != nil {
		r.t.Fatal(err)
	}
}

// console runs the lines that begin with a dollar, each with the lines below it as its answer.
func (r *readme) console(text string) {
	r.t.Helper()
	for _, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		line, answer, _ := strings.Cut(part, "\n")
		command, _, _ := strings.Cut(line, "  #")
		if command = strings.TrimSpace(command); answer == "" {
			r.run(command, nil)
			continue
		}
		r.run(command, &answer)
	}
}

// build compiles a program of the README, which needs no more than what it shows.
func (r *readme) build(name, text string) {
	r.t.Helper()
	source := write(r.t, r.dir, name+".go", text)
	if out, err := exec.Command("go", "build", "-race="+setting("-race", "false"), "-o", filepath.Join(r.dir, name), source).CombinedOutput(); err != nil {
		r.t.Fatalf("cannot build the program of the README: %v\n%s", err, out)
	}
}

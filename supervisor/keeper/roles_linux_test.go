package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

const (
	optionsKey = "KEEPER_TEST_OPTIONS"
	controlKey = "KEEPER_TEST_CONTROL"
	claimKey   = "KEEPER_TEST_CLAIM"
)

// playRole is what the test binary does as a child. It does not return from a role that it knows.
func playRole(role string) {
	switch role {
	case "keeper":
		var o Options
		must(json.Unmarshal([]byte(os.Getenv(optionsKey)), &o))
		o.Log = os.Stderr
		o.Claim = nil
		if os.Getenv(claimKey) != "" {
			o.Claim = os.NewFile(firstInherited, "claim")
		}
		go endWithTheTest()
		code := Run(o)
		if err := goleak.Find(goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreTopFunction("os/signal.loop"),
			goleak.IgnoreAnyFunction("github.com/tinehq/tine/supervisor/keeper.catchSignals.func1"),
			goleak.IgnoreAnyFunction("github.com/tinehq/tine/supervisor/keeper.endWithTheTest")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 98
		}
		os.Exit(code)
	case "exec":
		os.Setenv(roleKey, "master")
		os.Setenv("TINE_TEST", "a b\"c")
		exe, err := os.Executable()
		must(err)
		must(Exec(Options{Command: exe, Watchdog: time.Minute, MaxFiles: 77}))
	case "master", "worker":
		(&puppet{role: role}).run()
	}
}

func endWithTheTest() {
	os.Stdin.Read(make([]byte, 1))
	os.Exit(96)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// puppet does what the test says, line by line, over a socket, and ends when the test does.
type puppet struct {
	role    string
	conn    net.Conn
	mu      sync.Mutex
	client  *Client
	files   map[string][]*os.File
	stored  []*os.File
	ignores bool
}

func (p *puppet) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.conn, format+"\n", args...)
}

func (p *puppet) run() {
	came := make(chan os.Signal, 256)
	for s := syscall.Signal(1); s <= 64; s++ {
		if forwarded(s) && s != syscall.SIGABRT || s == syscall.SIGWINCH {
			signal.Notify(came, s)
		}
	}
	var err error
	p.client, err = Dial()
	must(err)
	p.files, err = Inherited()
	must(err)
	p.conn, err = net.Dial("unix", os.Getenv(controlKey))
	must(err)
	p.say("%s %d %d", p.role, os.Getpid(), os.Getppid())
	go func() {
		for s := range came {
			p.say("!signal %d", int(s.(syscall.Signal)))
			if p.role == "worker" && s == syscall.SIGTERM && !p.ignores {
				os.Exit(0)
			}
		}
	}()
	lines := bufio.NewScanner(p.conn)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		p.say("%s", strings.ReplaceAll(p.obey(words[0], words[1:]), "\n", "|"))
	}
	os.Exit(97) // the test is over
}

func (p *puppet) obey(order string, args []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), eventually.Patience())
	defer cancel()
	answer := func(err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		return "ok"
	}
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		must(err)
		return n
	}
	switch order {
	case "notify":
		return answer(p.client.Notify(args...))
	case "store": // NAME N [FIRST]: memfds that hold NAME/I
		first := 0
		if len(args) > 2 {
			first = number(2)
		}
		var files []*os.File
		for i := range number(1) {
			fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
			must(err)
			f := os.NewFile(uintptr(fd), "test")
			fmt.Fprintf(f, "%s/%d", args[0], first+i)
			files = append(files, f)
		}
		err := p.client.Store(args[0], files...)
		p.stored = append(p.stored, files...)
		return answer(err)
	case "again": // NAME: stores what it has inherited and stored
		var files []*os.File
		for _, list := range p.files {
			files = append(files, list...)
		}
		return answer(p.client.Store(args[0], append(files, p.stored...)...))
	case "remove":
		return answer(p.client.Remove(args[0]))
	case "lead":
		return answer(p.client.Lead(ctx))
	case "args":
		return fmt.Sprintf("%q %q %q", os.Args[1:], os.Getenv("TINE_TEST"), os.Getenv(envRole))
	case "barrier":
		return answer(p.client.Barrier(ctx))
	case "inherited": // NAME=CONTENT,... by name
		var names []string
		for name, list := range p.files {
			var contents []string
			for _, f := range list {
				text, err := io.ReadAll(io.NewSectionReader(f, 0, 1000))
				if name == ClaimName {
					text, err = []byte("?"), nil // a socket
				}
				must(err)
				contents = append(contents, string(text))
			}
			names = append(names, name+"="+strings.Join(contents, ","))
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	case "count": // of inherited files
		n := 0
		for _, list := range p.files {
			n += len(list)
		}
		return strconv.Itoa(n)
	case "limit":
		return strconv.Itoa(p.client.Limit())
	case "watchdog":
		return WatchdogInterval().String()
	case "env":
		return strings.Join(slices.DeleteFunc(os.Environ(), func(kv string) bool {
			return !strings.HasPrefix(kv, "LISTEN_") && !strings.HasPrefix(kv, "NOTIFY_") && !strings.HasPrefix(kv, "WATCHDOG_")
		}), " ")
	case "exits":
		list, err := p.client.Exits(ctx)
		if err != nil {
			return answer(err)
		}
		var out []string
		for _, e := range list {
			out = append(out, fmt.Sprintf("%d/%d/%d", e.PID, e.Start, statusOf(e.Status).exitCode()))
		}
		return strings.Join(out, " ")
	case "room":
		r, err := p.client.Room(ctx)
		if err != nil {
			return answer(err)
		}
		return fmt.Sprintf("%d/%d %s", r.Files, r.MaxFiles, strings.Join(r.Refused, ","))
	case "spawn": // ROLE [PROGRAM]
		program := "/proc/self/exe"
		if len(args) > 1 {
			program = args[1]
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), roleKey+"="+args[0])
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		must(cmd.Start())
		go cmd.Wait() // as a supervisor does
		return strconv.Itoa(cmd.Process.Pid)
	case "program":
		path, err := os.Readlink("/proc/self/exe")
		must(err)
		return path
	case "litter": // N: orphans that end at once
		script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (: &); i=$((i+1)); done", number(0))
		return answer(exec.Command("/bin/sh", "-c", script).Run())
	case "start":
		n, err := StartTime(os.Getpid())
		must(err)
		return strconv.FormatUint(n, 10)
	case "awaitend":
		return answer(AwaitEnd(ctx))
	case "succeed": // [PATH]: with what it has inherited and stored
		exe, err := os.Executable()
		must(err)
		o := Options{Command: exe}
		if len(args) > 0 {
			o = Options{Command: args[0], Fallback: "/proc/self/exe"}
		}
		if all := p.files[ClaimName]; len(all) > 0 {
			o.Claim, o.ClaimText = all[0], "name=web\n"
			delete(p.files, ClaimName)
		}
		return answer(Succeed(o, p.files))
	case "cannotsucceed": // as there are more names than a variable can have
		files := map[string][]*os.File{}
		for name, all := range p.files {
			files[strings.Repeat(name, 60)] = slices.Repeat(all, 600)
		}
		return answer(Succeed(Options{}, files))
	case "blocked": // signals that no thread takes
		blocked := ^uint64(0)
		tasks, _ := filepath.Glob("/proc/self/task/*/status")
		for _, path := range tasks {
			text, _ := os.ReadFile(path)
			_, mask, _ := strings.Cut(string(text), "SigBlk:")
			n, _ := strconv.ParseUint(strings.Fields(mask)[0], 16, 64)
			blocked &= n
		}
		return fmt.Sprintf("%x", blocked)
	case "group":
		return strconv.Itoa(syscall.Getpgrp())
	case "ignore":
		p.ignores = true
		return "ok"
	case "exit":
		os.Exit(number(0))
	case "stop": // says so, and exits with its very next word
		must(p.client.Notify("STOPPING=1"))
		os.Exit(number(0))
	case "panic":
		panic("as told")
	case "hang":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		runtime.Gosched()
		return "ok"
	}
	return "error: unknown order " + order
}

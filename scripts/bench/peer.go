//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/numbered"
	"github.com/tinehq/tine/scripts/internal/procfs"
	"github.com/tinehq/tine/supervisor/claim"
)

// peer is a running server of the service at addr.
type peer struct {
	name   string
	addr   string
	p      *process
	log    *tineLog        // Tine only
	lines  *numbered.Lines // what its workers print
	rolled chan struct{}   // one token for each rollout that is done; of those that can
}

// command is how a peer is started at an address.
type command struct {
	name string
	make func(addr string) (*exec.Cmd, error)
}

// launch starts c on a free address, without waiting for it.
func (b *bench) launch(c command) (*peer, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd, err := c.make(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.name, err)
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, claim.EnvWorld+"="+filepath.Join(b.dir, "world-"+strings.ReplaceAll(addr, ":", "-"))) // others may run beside
	s := &peer{name: c.name, addr: addr, log: &tineLog{}, lines: &numbered.Lines{}, rolled: make(chan struct{}, 64)}
	s.p, err = startProcess(cmd, func(line []byte) {
		s.lines.Find(string(line))
		if string(line) == "rolled" || s.log.take(line) {
			s.rolled <- struct{}{}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.name, err)
	}
	return s, nil
}

// serve starts c and waits until n of its processes have answered.
func (b *bench) serve(c command, n int) (*peer, error) {
	s, err := b.launch(c)
	if err != nil {
		return nil, err
	}
	if err := s.answering(n, 15*time.Second); err != nil {
		s.p.stop()
		return nil, err
	}
	return s, nil
}

// roll orders a rollout and waits until it is done.
func (s *peer) roll() (time.Duration, error) {
	began := time.Now()
	if err := s.p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return 0, fmt.Errorf("cannot roll %s: %w", s.name, err)
	}
	select {
	case <-s.rolled:
		return time.Since(began), nil
	case <-s.p.gone:
		return 0, fmt.Errorf("%s exited in a rollout:\n%s", s.name, s.p.said())
	case <-time.After(60 * time.Second):
		return 0, fmt.Errorf("a rollout of %s was not done within 60 s:\n%s", s.name, s.p.said())
	}
}

// tine runs the demo. more are further lines of the app's section.
func (b *bench) tine(workers int, more ...string) command {
	return b.under("tine", b.bin("demo"), workers, more...)
}

// under runs a program of the bench under Tine.
func (b *bench) under(name, program string, workers int, more ...string) command {
	return command{name, func(addr string) (*exec.Cmd, error) {
		config := filepath.Join(b.dir, "tine-"+strings.ReplaceAll(addr, ":", "-")+".yaml")
		text := fmt.Sprintf("apps:\n  web:\n    command: [%q]\n    listen: [%q]\n", program, addr)
		if workers > 0 {
			text += fmt.Sprintf("    workers: %d\n", workers)
		}
		for _, line := range more {
			text += "    " + line + "\n"
		}
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			return nil, err
		}
		return exec.Command(b.bin("tine"), "run", "-c", config), nil
	}}
}

// master is the PID of the process that has the workers: of Tine the one below its keeper.
func (s *peer) master() int {
	for _, pid := range procfs.Children(s.p.pid()) {
		if procfs.Name(pid) == "tine" {
			return pid
		}
	}
	return s.p.pid()
}

// workers are their PIDs. Those that have lost their master are the keeper's.
func (s *peer) workers() []int {
	master := s.master()
	pids := procfs.Children(master)
	if master == s.p.pid() {
		return pids
	}
	for _, pid := range procfs.Children(s.p.pid()) {
		if pid != master {
			pids = append(pids, pid)
		}
	}
	return pids
}

// single is the demo by itself, with all CPUs.
func (b *bench) single() command {
	return command{"one process", func(addr string) (*exec.Cmd, error) {
		return exec.Command(b.bin("demo"), "-listen", addr), nil
	}}
}

// runtimeOf is what a worker of Tine was given, so that the prefork by hand gets the same.
type runtimeOf struct {
	procs  int
	pinned bool
}

func (r runtimeOf) String() string {
	if r.pinned {
		return fmt.Sprintf("GOMAXPROCS=%d, pinned", r.procs)
	}
	return fmt.Sprintf("GOMAXPROCS=%d", r.procs)
}

// settings looks at a running worker of Tine.
func (s *peer) settings() runtimeOf {
	r := runtimeOf{procs: runtime.NumCPU()}
	pids := s.workers()
	if len(pids) == 0 {
		return r
	}
	cpus := procfs.Status(pids[0], "Cpus_allowed_list")
	if _, err := strconv.Atoi(cpus); err == nil && runtime.NumCPU() > 1 {
		r.procs, r.pinned = 1, true
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pids[0]))
	for kv := range strings.SplitSeq(string(env), "\x00") {
		if v, ok := strings.CutPrefix(kv, "GOMAXPROCS="); ok {
			r.procs, _ = strconv.Atoi(v)
		}
	}
	return r
}

// prefork is the one by hand.
func (b *bench) prefork(workers int, r runtimeOf) command {
	return command{"prefork by hand", func(addr string) (*exec.Cmd, error) {
		return exec.Command(filepath.Join(b.dir, "prefork"), "-listen", addr, "-n", strconv.Itoa(workers),
			"-procs", strconv.Itoa(r.procs), "-pin="+strconv.FormatBool(r.pinned)), nil
	}}
}

func (b *bench) node(workers int) command {
	return command{"Node cluster", func(addr string) (*exec.Cmd, error) {
		_, port, _ := strings.Cut(addr, ":")
		return exec.Command("node", filepath.Join(b.dir, "cluster.js"), port, strconv.Itoa(workers)), nil
	}}
}

func (b *bench) nginx(workers int) command {
	return command{"nginx", func(addr string) (*exec.Cmd, error) {
		return b.withConfig("nginx", fmt.Sprintf(`daemon off; worker_processes %d; pid $DIR/pid; error_log stderr;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path $DIR/a; proxy_temp_path $DIR/b; fastcgi_temp_path $DIR/c; uwsgi_temp_path $DIR/d; scgi_temp_path $DIR/e;
keepalive_requests 1000000000;
server { listen %s reuseport; location / { default_type text/plain; return 200 "Handled by process $pid.Cached value: none"; } } }
`, workers, addr), "-c")
	}}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// master is the running Tine. Its binaries are copies in a folder of this run, so that
// its processes are known by their files and nobody else's can be taken for them.
type master struct {
	*log
	cmd        *exec.Cmd
	dir        string
	way        way
	tine, demo string
	address    string
	port       uint16
	exited     chan struct{}
	exit       error
}

func startMaster(o options, dir string, j *journal) (*master, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve the folder of the run: %w", err)
	}
	m := &master{log: newLog(j), dir: dir, way: wayOf(o.seed), exited: make(chan struct{})}
	if m.tine, err = copyBinary(o.tine, dir); err != nil {
		return nil, err
	}
	if m.demo, err = copyBinary(o.demo, dir); err != nil {
		return nil, err
	}
	if m.port, err = freePort(); err != nil {
		return nil, err
	}
	m.address = fmt.Sprintf("127.0.0.1:%d", m.port)
	if err := m.configure(workers, ""); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe for the log: %w", err)
	}
	m.cmd = exec.Command(m.tine, "run", "-c", m.configFile(), "--log-format", "json", "--log-level", "debug")
	m.cmd.Stdout, m.cmd.Stderr = w, w
	// A program with the race detector sleeps for a second before it exits.
	m.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	// A Ctrl-C in the terminal is for this program, which then stops the master.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = m.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("cannot start %s: %w", o.tine, err)
	}
	go m.log.read(r)
	go func() {
		m.exit = m.cmd.Wait()
		close(m.exited)
	}()
	return m, nil
}

func copyBinary(from, dir string) (string, error) {
	to := filepath.Join(dir, filepath.Base(from))
	in, err := os.Open(from)
	if err != nil {
		return "", fmt.Errorf("cannot open the binary (make build): %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return "", fmt.Errorf("cannot copy %s: %w", from, err)
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Close()
	}
	if err != nil {
		return "", fmt.Errorf("cannot copy %s: %w", from, err)
	}
	return to, nil
}

func freePort() (uint16, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cannot find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}

func (m *master) configFile() string { return filepath.Join(m.dir, "tine.yaml") }

func (m *master) configure(workers int, change string) error {
	return m.writeConfig(fmt.Sprintf(`name: chaos
apps:
  web:
    command: [%s]
    listen: [%q]
    workers: %d
    steering: %s
    policy: %s
    env: {CHAOS: %q}
    backoff: {base: 100ms, max: 500ms}
    ready_timeout: 10s
    drain_delay: %v
    drain_timeout: 10s
    kill_after: 5s
cache:
  usersCount:
    exec: date +%%s
    every: 200ms
    timeout: 2s
`, m.demo, m.address, workers, m.way.steering, m.way.policy, change, drainDelay))
}

// writeConfig replaces the file in one piece, so that no reader sees a part.
func (m *master) writeConfig(text string) error {
	next := m.configFile() + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return fmt.Errorf("cannot write the config: %w", err)
	}
	if err := os.Rename(next, m.configFile()); err != nil {
		return fmt.Errorf("cannot write the config: %w", err)
	}
	return nil
}

func (m *master) signal(s syscall.Signal) { _ = m.cmd.Process.Signal(s) }

// until asks cond again and again, until it is nil or the time is up.
func until(limit time.Duration, cond func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := cond()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (m *master) waitReady(limit time.Duration) error {
	return until(limit, func() error {
		select {
		case <-m.exited:
			return nil
		default:
		}
		if m.seen("all workers are ready") == 0 {
			return fmt.Errorf("not all workers are ready after %v", limit)
		}
		return nil
	})
}

// workers are the PIDs of all processes of the demo, ascending.
func (m *master) workers() []int { return processesOf(m.demo) }

// settled is how long the same workers must be there: longer than a slot is ever
// left alone, for its backoff.
const settled = 700 * time.Millisecond

// settle brings the master back to what it was in the beginning and waits until it is.
func (m *master) settle(limit time.Duration) error {
	if err := m.configure(workers, "the end"); err != nil {
		return err
	}
	m.signal(syscall.SIGHUP)
	deadline := time.Now().Add(limit)
	var last []int
	var since, asked time.Time
	for {
		now := time.Now()
		// A signal that is pending swallows the next one of its kind: so one at a
		// time, and a look at what it did.
		if n := m.wanted(); n != workers && now.Sub(asked) > 200*time.Millisecond {
			asked = now
			if n < workers {
				m.signal(syscall.SIGTTIN)
			} else {
				m.signal(syscall.SIGTTOU)
			}
		}
		pids := m.workers()
		if !slices.Equal(pids, last) {
			last, since = pids, now
		}
		if len(pids) == workers && m.wanted() == workers && now.Sub(since) > settled {
			return nil
		}
		if now.After(deadline) {
			return fmt.Errorf("not at rest %v after the last action: %d workers wanted, processes %v", limit, m.wanted(), pids)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// allServe asks on new connections until each worker has answered one.
func (m *master) allServe(limit time.Duration) error {
	missing := map[int]bool{}
	for _, pid := range m.workers() {
		missing[pid] = true
	}
	deadline := time.Now().Add(limit)
	for n := 0; len(missing) > 0; n++ {
		if time.Now().After(deadline) || n > 2000 {
			return fmt.Errorf("workers %v answer none of %d new connections", missing, n)
		}
		c, _, err := rawhttp.Dial(netip.Addr{}, m.address, deadline)
		if err != nil {
			return fmt.Errorf("cannot connect at rest: %w", err)
		}
		a := c.Do(rawhttp.Request{Method: "GET", Path: "/", Close: true}, deadline)
		c.Close()
		pid, err := checkIndex(a.Body)
		if a.Outcome != rawhttp.OK || err != nil {
			return fmt.Errorf("a request at rest: %v %w", a.Outcome, errors.Join(a.Err, err))
		}
		delete(missing, pid)
	}
	return nil
}

// stop has the master stop gracefully.
func (m *master) stop(limit time.Duration) (took time.Duration, err error) {
	select {
	case <-m.exited:
		return 0, fmt.Errorf("the master had ended before it was told to: %v", m.exit)
	default:
	}
	begin := time.Now()
	m.signal(syscall.SIGTERM)
	select {
	case <-m.exited:
		if m.exit != nil {
			err = fmt.Errorf("the master stopped with %w", m.exit)
		}
		return time.Since(begin), err
	case <-time.After(limit):
		return limit, fmt.Errorf("the master has not stopped %v after SIGTERM", limit)
	}
}

// leftovers is an error if a process of the run is still there. The master reaps its
// workers before it ends, so there is nothing to wait for.
func (m *master) leftovers() error {
	if pids := append(processesOf(m.demo), processesOf(m.tine)...); len(pids) > 0 {
		return fmt.Errorf("processes %v are left", pids)
	}
	return nil
}

// end leaves nothing behind, however the run went.
func (m *master) end() {
	select {
	case <-m.exited:
	default:
		_ = m.cmd.Process.Kill()
		<-m.exited
	}
	for _, pid := range m.workers() {
		if v := openVictim(pid, m.demo); v != nil {
			v.signal(syscall.SIGKILL)
			v.close()
		}
	}
	<-m.log.ended
}

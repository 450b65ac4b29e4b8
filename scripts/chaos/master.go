package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// master is the running Tine: a keeper, below it a master and its workers. The binaries are copies in a folder of this
// run, so that a process of the run is recognised by its executable file.
type master struct {
	*log
	cmd        *exec.Cmd // the keeper
	dir        string
	way        way
	cli        string // the binary that gives orders; a copy of its own, so that it does not count as a process of the run
	tine, next string // two of the same, to upgrade from the one to the other
	demo       string
	counts     string // folder: how many lines each worker has printed
	address    string
	port       uint16
	control    *control.Client
	out        *os.File // where the log goes
	exited     chan struct{}
	exit       error
	desired    atomic.Int64 // number of workers that the last status wanted
	good       string       // the last config that can be read
	broken     bool         // the one on disk cannot
}

func startMaster(o options, dir string, j *journal) (*master, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve the folder of the run: %w", err)
	}
	m := &master{log: newLog(j), dir: dir, way: wayOf(o.seed)}
	m.desired.Store(workers)
	if m.cli, err = filepath.Abs(o.tine); err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", o.tine, err)
	}
	if m.tine, err = copyBinary(o.tine, dir, "tine"); err != nil {
		return nil, err
	}
	if m.next, err = copyBinary(o.tine, dir, "tine-next"); err != nil {
		return nil, err
	}
	if m.demo, err = copyBinary(o.demo, dir, "demo"); err != nil {
		return nil, err
	}
	m.counts = filepath.Join(dir, "counts")
	if err := os.Mkdir(m.counts, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a folder for counts: %w", err)
	}
	if m.port, err = freePort(); err != nil {
		return nil, err
	}
	m.address = fmt.Sprintf("127.0.0.1:%d", m.port)
	m.control = control.NewClient(m.socket())
	if err := m.configure(workers, ""); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe for the log: %w", err)
	}
	m.out = w
	var in io.ReadCloser = r
	if o.logFile != "" {
		if in, err = keepLog(r, o.logFile); err != nil {
			w.Close()
			return nil, err
		}
	}
	go m.log.read(in)
	if err := m.start(); err != nil {
		m.closeLog()
		return nil, err
	}
	return m, nil
}

// keepLog writes to a file what is read from r.
func keepLog(r io.ReadCloser, name string) (io.ReadCloser, error) {
	f, err := os.Create(name)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("cannot keep the log: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r, f), r}, nil
}

// start starts the keeper, which must not be running.
func (m *master) start() error {
	cmd := exec.Command(m.tine, "run", "-c", m.configFile(), "--control", m.socket(), "--keeper", "on", "--watchdog", watchdog.String(),
		"--log-format", "json", "--log-level", "debug")
	cmd.Stdout, cmd.Stderr = m.out, m.out
	// A program with the race detector sleeps for a second before it exits.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", claim.EnvWorld+"="+m.dir) // other runs may go on at the same time
	// A Ctrl-C in the terminal is for this program, which then stops the master.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", m.tine, err)
	}
	exited := make(chan struct{})
	m.cmd, m.exited = cmd, exited
	go func() {
		m.exit = cmd.Wait()
		close(exited)
	}()
	return nil
}

func (m *master) keeper() int    { return m.cmd.Process.Pid }
func (m *master) socket() string { return filepath.Join(m.dir, "c.sock") }

func (m *master) isTine(exe string) bool { return exe == m.tine || exe == m.next }

// closeLog closes our end of the log: the log ends when the last process that writes to it has ended.
func (m *master) closeLog() {
	if m.out != nil {
		m.out.Close()
		m.out = nil
	}
}

// answerIn is how long a master may take to answer a request for its status.
const answerIn = 2 * time.Second

// status returns the status of the master that answers, or an error if none does.
func (m *master) status() (api.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	st, err := m.control.Status(ctx)
	if err == nil && len(st.Apps) != 1 {
		err = fmt.Errorf("a status of %d apps", len(st.Apps))
	}
	if err == nil {
		m.desired.Store(int64(st.Apps[0].Desired))
	}
	return st, err
}

// wanted returns how many workers the master wants; if none answers, how many the last one wanted.
func (m *master) wanted() int {
	_, _ = m.status()
	return m.lastWanted()
}

func (m *master) lastWanted() int { return int(m.desired.Load()) }

// slowStart is the time without a master after which the journal gets where each process waits.
const slowStart = 4 * time.Second

func (m *master) whereabouts() string {
	text := fmt.Sprintf("no master after %v; keeper %d:%s", slowStart, m.keeper(), waiting(m.keeper()))
	for _, pid := range m.masters() {
		text += fmt.Sprintf("\n  master %d:%s", pid, waiting(pid))
	}
	return text
}

// inCharge waits until a master other than old has all workers that it wants ready, and returns its PID.
func (m *master) inCharge(old int, limit time.Duration) (pid int, err error) {
	late := time.AfterFunc(slowStart, func() { m.journal.act("%v", m.whereabouts()) })
	defer late.Stop()
	err = until(limit, func() error {
		st, err := m.status()
		switch {
		case err != nil:
			return fmt.Errorf("no master answers: %w", err)
		case st.PID == old:
			return fmt.Errorf("still master %d", old)
		case st.Apps[0].Ready < st.Apps[0].Desired:
			return fmt.Errorf("master %d has %d of %d workers ready", st.PID, st.Apps[0].Ready, st.Apps[0].Desired)
		}
		pid = st.PID
		return nil
	})
	return pid, err
}

func copyBinary(from, dir, name string) (string, error) {
	to := filepath.Join(dir, name)
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
	m.good, m.broken = fmt.Sprintf(`name: chaos
apps:
  web:
    command: [%s]
    listen: [%q]
    workers: %d
    steering: %s
    policy: %s
    env: {CHAOS: %q, DEMO_PRINT: '%d', DEMO_PRINT_COUNTS: %q}
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
`, m.demo, m.address, workers, m.way.steering, m.way.policy, change, printRate, m.counts, drainDelay), false
	return m.writeConfig(m.good)
}

// mend puts the last good config back where there is a broken one: an upgrade is refused with that.
func (m *master) mend() {
	if m.broken && m.writeConfig(m.good) == nil {
		m.broken = false
	}
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

// until calls cond again and again, until it returns nil or the time is up.
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
	select {
	case <-m.exited:
		return errors.New("tine has ended")
	default:
	}
	_, err := m.inCharge(0, limit)
	return err
}

// workers returns the PIDs of all processes of the demo, ascending.
func (m *master) workers() []int { return processesOf(m.demo) }

// settled is how long the same workers must be there: longer than the longest backoff
// of a slot.
const settled = 700 * time.Millisecond

// broadcastKey is the value that is set while the master is killed. A large one costs a descriptor.
const broadcastKey = "chaos"

func (m *master) forgetValue() {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	_ = m.control.DeleteValue(ctx, broadcastKey) // it need not be there
}

// settle brings the number of workers and the config back to those of the beginning and waits until they hold.
func (m *master) settle(limit time.Duration) error {
	if err := m.configure(workers, "the end"); err != nil {
		return err
	}
	m.signal(syscall.SIGHUP)
	m.forgetValue()
	deadline := time.Now().Add(limit)
	var last []int
	var since, asked time.Time
	for {
		now := time.Now()
		// A signal that is pending swallows the next one of its kind: so one at a
		// time, and a look at what it did.
		n := m.wanted()
		if n != workers && now.Sub(asked) > 200*time.Millisecond {
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
		if len(pids) == workers && n == workers && now.Sub(since) > settled {
			// Only the processes of household may be there; the process of a source ends soon.
			if err := until(time.Second, m.household); err != nil {
				return fmt.Errorf("at rest: %w", err)
			}
			return nil
		}
		if now.After(deadline) {
			return fmt.Errorf("not at rest %v after the last action: %d workers wanted, processes %v", limit, n, pids)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// allServe sends requests on new connections until each worker has answered one.
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

// stop stops the keeper gracefully.
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

// leftovers returns an error if a process of the run is still there. The master reaps
// its workers before it ends, so this need not wait.
func (m *master) leftovers() error {
	pids := slices.Concat(processesOf(m.demo), processesOf(m.tine), processesOf(m.next))
	if len(pids) > 0 {
		return fmt.Errorf("processes %v are left", pids)
	}
	return nil
}

// end kills every process of the run that is left, and waits for the end of its log.
func (m *master) end() {
	select {
	case <-m.exited:
	default:
		_ = m.cmd.Process.Kill()
		<-m.exited
	}
	for _, exe := range []string{m.tine, m.next, m.demo} {
		for _, pid := range processesOf(exe) {
			if v := openVictim(pid, exe); v != nil {
				v.signal(syscall.SIGKILL)
				v.close()
			}
		}
	}
	m.control.Close()
	m.closeLog()
	<-m.log.ended
}

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"golang.org/x/sys/unix"
)

// descriptors names what a process has open, sorted, without what differs between two
// of a kind.
func descriptors(t *testing.T, pid int) (kinds []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		to, err := os.Readlink(dir + fd.Name())
		if err != nil {
			continue // closed since
		}
		kind, _, _ := strings.Cut(to, "[")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// noMoreDescriptors waits until the master has not more open than before.
func (m *tine) noMoreDescriptors(before []string) {
	m.t.Helper()
	var now []string
	defer func() {
		if m.t.Failed() {
			m.t.Logf("it has %d descriptors, had %d\nnow    %q\nbefore %q", len(now), len(before), now, before)
		}
	}()
	eventually.True(m.t, "the master has no more descriptors than before", func() bool {
		now = descriptors(m.t, m.master())
		return len(now) <= len(before)
	})
}

// limit sets a soft limit of the master. The part of the test binary that does it runs
// as the master's user, which may do that without privileges.
func (m *tine) limit(which int, soft uint64) {
	m.t.Helper()
	c := exec.Command(limitPath, strconv.Itoa(m.master()), strconv.Itoa(which), strconv.FormatUint(soft, 10))
	if m.cmd.SysProcAttr != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: m.cmd.SysProcAttr.Credential}
	}
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("cannot set a limit: %v: %s", err, out)
	}
}

func init() { roles["limit"] = limitMain }

func limitMain(args []string) int {
	pid, _ := strconv.Atoi(args[0])
	which, _ := strconv.Atoi(args[1])
	soft, _ := strconv.ParseUint(args[2], 10, 64)
	var l unix.Rlimit
	err := unix.Prlimit(pid, which, nil, &l)
	if err == nil {
		l.Cur = min(soft, l.Max)
		err = unix.Prlimit(pid, which, &l, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestOutOfDescriptors: the master cannot start a worker; its log names the limit. It
// tries again with a backoff, all else runs on, and when there are descriptors again the slot gets its worker.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers)
	victim, other := m.workers("")[0], m.workers("")[1]
	// Far below the number of descriptors that it has open.
	m.limit(unix.RLIMIT_NOFILE, 3)
	mark := m.mark()
	syscall.Kill(victim, syscall.SIGKILL)
	e := m.awaitFrom(mark, is("spawn failed"))
	if !strings.Contains(e.Reason, "RLIMIT_NOFILE is 3") || e.Level != "error" {
		t.Errorf("the limit is not named: %s", e.Raw)
	}
	m.awaitFrom(mark, is("backoff"))
	// SIGUSR2 now: the rollout fails, nothing else does.
	mark = m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout aborted"))
	mark = m.mark()
	m.awaitFrom(mark, is("spawn failed")) // and again
	if _, err := m.ask(other, "/"); err != nil {
		t.Errorf("the other worker: %v", err)
	}
	if now := m.workers("")[1]; now != other {
		t.Error("the other worker was replaced")
	}
	mark = m.mark()
	m.limit(unix.RLIMIT_NOFILE, 1024)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 0 })
	m.roll()
	for range 10 {
		m.who()
	}
	m.stop()
}

// TestDescriptorsAreGivenBack: at rest after many starts, rolls, crashes and failed
// starts, the master has as many as before.
func TestDescriptorsAreGivenBack(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers)
	m.roll()
	before := descriptors(t, m.master())
	for range 3 {
		m.roll()
		mark := m.mark()
		syscall.Kill(m.workers("")[0], syscall.SIGKILL)
		m.awaitFrom(mark, is("ready"))
	}
	m.limit(unix.RLIMIT_NOFILE, 3)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout aborted"))
	m.limit(unix.RLIMIT_NOFILE, 1024)
	m.roll()
	m.noMoreDescriptors(before)
	m.stop()
}

// TestForkRefused: the user may have no more processes.
func TestForkRefused(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to be a user of its own whose processes can be counted")
	}
	m := startReady(t, twoWorkers, asUser(54322))
	// Whatever threads the master will need for this it should have had once: a Go
	// program cannot live without a thread that it needs.
	for range 2 {
		m.roll()
	}
	victim, other := m.workers("")[0], m.workers("")[1]
	m.limit(unix.RLIMIT_NPROC, 1)
	mark := m.mark()
	syscall.Kill(victim, syscall.SIGKILL)
	e := m.awaitFrom(mark, is("spawn failed"))
	if !strings.Contains(e.Reason, "RLIMIT_NPROC is 1") || e.Level != "error" {
		t.Errorf("the limit is not named: %s", e.Raw)
	}
	m.awaitFrom(mark, is("backoff"))
	if _, err := m.ask(other, "/"); err != nil {
		t.Errorf("the other worker: %v", err)
	}
	m.limit(unix.RLIMIT_NPROC, 1<<20)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 0 })
	m.who()
	m.stop()
}

// TestDiskFullUnderTheLog: with no room for the log everything goes on, and when
// there is room again the log says how many lines it has lost.
func TestDiskFullUnderTheLog(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tine-test", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("SKIPPED: cannot mount a small disk (%v): see TestLogDeviceFull", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
log: {file: disk/tine.log}
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	text := func() string {
		b, _ := os.ReadFile(disk + "/tine.log")
		return string(b)
	}
	eventually.True(t, "all are ready", func() bool { return strings.Contains(text(), "all workers are ready") })
	address, pid := m.startedAt(text()), m.startedPID(text())

	// Fill the disk, to its last byte.
	junk, err := os.Create(disk + "/junk")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := junk.Write(make([]byte, 4096)); err == nil; _, err = junk.Write(make([]byte, 4096)) {
	}
	junk.Close()
	for range 3 { // what is left in the log's last page goes first
		m.mustAsk(pid, "/print", strings.Repeat(strings.Repeat("x", 100)+"\n", 50))
	}
	syscall.Kill(pid, syscall.SIGKILL)
	for range 20 {
		if _, err := fetch(fresh, "http://"+address+"/"); err != nil {
			t.Errorf("with the disk full: %v", err)
		}
	}
	m.signal(syscall.SIGUSR2)
	eventually.True(t, "it rolls, though its log cannot be written", func() bool {
		text, err := fetch(fresh, "http://"+address+"/")
		return err == nil && parseAbout(t, text).Generation == 2
	})
	if err := os.Remove(disk + "/junk"); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the log says what it has lost", func() bool {
		m.signal(syscall.SIGTTIN) // something to log
		time.Sleep(20 * time.Millisecond)
		m.signal(syscall.SIGTTOU)
		return strings.Contains(text(), "log lines lost") && strings.Contains(text(), "no space left")
	})
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestLogDeviceFull is the same with a device that is always full.
func TestLogDeviceFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("SKIPPED: there is no /dev/full")
	}
	dir := folder(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	m := startIn(t, dir, []string{"run", "-l", address, "-n", "2", "--drain-delay", "50ms", "--log-file", "/dev/full", "--", memberPath})
	eventually.True(t, "it serves", func() bool { _, err := fetch(fresh, "http://"+address+"/"); return err == nil })
	m.signal(syscall.SIGUSR2)
	eventually.True(t, "it rolls", func() bool {
		text, err := fetch(fresh, "http://"+address+"/")
		return err == nil && parseAbout(t, text).Generation == 2
	})
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// startedAt and startedPID find in a log file what await would in the log.
func (m *tine) startedAt(log string) string {
	m.t.Helper()
	_, rest, _ := strings.Cut(log, `"listen":["`)
	address, _, ok := strings.Cut(rest, `"`)
	if !ok {
		m.t.Fatalf("no address in %s", log)
	}
	return address
}

func (m *tine) startedPID(log string) int {
	m.t.Helper()
	_, rest, _ := strings.Cut(log, `"pid":`)
	digits, _, _ := strings.Cut(rest, ",")
	pid, err := strconv.Atoi(digits)
	if err != nil {
		m.t.Fatalf("no pid in %s", log)
	}
	return pid
}

// TestLogReaderGoesAway: the reader of the log crashes, and the service goes on.
func TestLogReaderGoesAway(t *testing.T) { bothWays(t, testLogReaderGoesAway) }

func testLogReaderGoesAway(t *testing.T, way option) {
	dir := folder(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tinePath, "run", "-l", address, "-n", "2", "--drain-delay", "50ms", "--", memberPath)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, w, w
	cmd.Env = append(os.Environ(), "MEMBER_CONTROL="+dir, worldOf(dir))
	way(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(r)
	for lines.Scan() && !strings.Contains(lines.Text(), "all workers are ready") {
	}
	r.Close()
	cmd.Process.Signal(syscall.SIGUSR2)
	eventually.True(t, "it rolls", func() bool {
		text, err := fetch(fresh, "http://"+address+"/")
		return err == nil && parseAbout(t, text).Generation == 2
	})
	cmd.Process.Signal(syscall.SIGTERM)
	if err := eventually.Receive(t, "it stops", ended); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestNoDescriptorStays: after many rollouts, crashes, standbys that took over, and slots
// that came and went, the master has as many descriptors open as before.
func TestNoDescriptorStays(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, steered(2, "steering: "+kind, "standby: 1", "$FAST"))
			m.of(kind)
			round := func(rolls int) {
				for range rolls {
					m.roll()
				}
				mark := m.mark()
				m.signal(syscall.SIGTTIN)
				m.readyIn(mark, 2)
				m.signal(syscall.SIGTTOU)
				m.awaitFrom(mark, is("retired"))
				mark = m.mark()
				syscall.Kill(m.workers("")[1], syscall.SIGKILL)
				m.readyIn(mark, 1)
				m.awaitFrom(mark, is("parked"))
			}
			round(2)
			eventually.True(t, "old workers have gone", func() bool { return len(m.processes()) == aboveWorkersHere()+3 })
			before := descriptors(t, m.master())
			for range 4 {
				round(5)
			}
			m.noMoreDescriptors(before)
			m.stop()
		})
	}
}

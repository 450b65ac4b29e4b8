//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen"
)

// dropIn is what a test must know of the service of scripts/packaging, and nothing that it is about.
const dropIn = `[Service]
Environment=MEMBER_CONTROL=$DIR TINE_LOG_LEVEL=debug TINE_LOG_FORMAT=json "GORACE=atexit_sleep_ms=0 halt_on_error=1"
# Its /tmp is its own.
BindPaths=$DIR
StandardError=append:/dev/console
StandardOutput=append:/dev/console
`

const systemdConfig = `
name: tine
apps:
  web:
    command: [/usr/local/bin/member]
    listen: ["127.0.0.1:0", "unix:/run/tine/web.sock"]
    workers: 2
    ` + calm + `
`

// packaged are the files of a machine with the service of scripts/packaging, as it is, and this config.
func packaged(t *testing.T, config string) map[string]string {
	return map[string]string{
		"systemd/system/tine.service":                packaging(t, "tine.service"),
		"systemd/system/tine.service.d/50-test.conf": dropIn,
		"tine/tine.yaml":                             config,
	}
}

// serving starts the service and waits until it is ready.
func serving(t *testing.T, etc map[string]string) *machine {
	t.Helper()
	s := startMachine(t, etc)
	s.mustSystemctl("start", "tine.service")
	return s
}

// viaUnix asks the app at its Unix-domain address.
func (s *machine) viaUnix() (string, error) {
	path := fmt.Sprintf("/proc/%d/root/run/tine/web.sock", s.init)
	return fetch(&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}}, "http://web/")
}

// next waits for the n-th master that systemd has started again, and returns its status when all workers are ready.
func (s *machine) next(n int, before map[int]bool) {
	s.t.Helper()
	s.expect("NRestarts", strconv.Itoa(n))
	eventually.True(s.t, "the next master has all workers", func() bool {
		st, err := s.status()
		return err == nil && strconv.Itoa(st.PID) == s.show("MainPID") && len(st.Apps) == 1 && st.Apps[0].Ready == 2
	})
	if after := pids(s.mustStatus().Apps[0]); !maps.Equal(before, after) {
		s.t.Errorf("the workers are %v, and were %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	s.expect("ActiveState", "active")
}

// TestSystemdConversation: what systemd is told, from the start to the end.
func TestSystemdConversation(t *testing.T) {
	t.Parallel()
	s := startMachine(t, packaged(t, strings.Replace(systemdConfig, "listen:", "env: {MEMBER_GATE: $DIR/gate}\n    listen:", 1)))
	gate := fifo(t, s.dir, "gate")
	s.mustSystemctl("start", "--no-block", "tine.service")

	// Ready are the apps with ready workers.
	s.expect("StatusText", "starting: 0 of 2 ready")
	if state := s.show("ActiveState"); state != "activating" {
		t.Errorf("it is %s before its workers are ready", state)
	}
	openGate(t, gate)
	s.expect("ActiveState", "active")
	s.expect("StatusText", "2 of 2 ready")
	if _, err := s.viaUnix(); err != nil {
		t.Error(err)
	}
	s.must("/")

	// Reload, which ends when the configuration is applied, and a rollout.
	mark := s.mark()
	s.mustSystemctl("log-level", "debug")
	s.mustSystemctl("reload", "tine.service")
	s.awaitFrom(mark, is("configuration applied"))
	if len(s.since(mark, func(e event) bool { return strings.Contains(e.Raw, "Can't open PID file") })) > 0 {
		t.Error("there is no PID file")
	}
	s.awaitFrom(mark, notified("RELOADING=1"))
	s.awaitFrom(mark, notified("READY=1"))
	s.expect("ActiveState", "active")
	mark = s.mark()
	s.kill(s.master(), syscall.SIGUSR2)
	s.awaitFrom(mark, notified("RELOADING=1"))
	s.awaitFrom(mark, is("rollout done"))
	s.expect("ActiveState", "active")
	s.expect("StatusText", "2 of 2 ready")

	// A stop lets what is in flight end, and leaves nothing.
	answer := s.slow(t, 500)
	mark = s.mark()
	s.mustSystemctl("stop", "tine.service")
	if text, err := answer(); err != nil || !strings.HasSuffix(text, ".") {
		t.Errorf("the stop has cut a request: %q %v", text, err)
	}
	s.awaitFrom(mark, notified("STOPPING=1"))
	s.ended("inactive", "success", 0)
}

// notified is a line of systemd's log at level debug about what it was told.
func notified(line string) func(event) bool {
	return func(e event) bool {
		_, said, ok := strings.Cut(e.Raw, "Got notification message from PID")
		return ok && strings.Contains(said, line)
	}
}

// ended holds the service to what each end must be.
func (s *machine) ended(state, result string, code int) {
	s.t.Helper()
	s.expect("ActiveState", state)
	if got := s.show("Result"); got != result {
		s.t.Errorf("Result=%s, want %s", got, result)
	}
	if got := s.show("ExecMainStatus"); got != strconv.Itoa(code) {
		s.t.Errorf("it has ended with %s, want %d", got, code)
	}
	if n := s.show("NFileDescriptorStore"); n != "0" {
		s.t.Errorf("%s descriptors are still stored", n)
	}
	s.nothingLeft()
}

// TestSystemdMasterKilled: systemd starts another with what the first has stored, and that goes on with the workers.
func TestSystemdMasterKilled(t *testing.T) {
	t.Parallel()
	s := serving(t, packaged(t, systemdConfig))
	before := pids(s.mustStatus().Apps[0])
	stored := s.show("NFileDescriptorStore")
	l := s.load(8)
	var away []time.Duration
	for n := range rounds(5, 15) {
		served := l.served.Load()
		eventually.True(t, "there is load", func() bool { return l.served.Load() > served+100 })
		master, mark, began := s.master(), s.mark(), time.Now()
		s.kill(master, syscall.SIGKILL)
		adopted := s.awaitFrom(mark, is("adopted the workers of the last master"))
		away = append(away, adopted.Time.Sub(began).Round(time.Millisecond))
		s.next(n+1, before)
		if _, err := s.viaUnix(); err != nil {
			t.Error(err)
		}
	}
	l.lossless(t)
	slices.Sort(away)
	t.Logf("%d requests, %s descriptors stored, another master had the workers after %v", l.served.Load(), stored, away)
	if n := s.show("NFileDescriptorStore"); n != stored {
		t.Errorf("%s descriptors are stored, and %s were at first", n, stored)
	}
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// TestSystemdMasterHangs: the watchdog ends it, and another goes on.
func TestSystemdMasterHangs(t *testing.T) {
	t.Parallel()
	etc := packaged(t, systemdConfig)
	etc["systemd/system/tine.service.d/60-watchdog.conf"] = "[Service]\nWatchdogSec=3s\n"
	s := serving(t, etc)
	before := pids(s.mustStatus().Apps[0])
	l := s.load(4)
	mark := s.mark()
	s.kill(s.master(), syscall.SIGSTOP)
	s.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Raw, "Watchdog timeout") })
	s.next(1, before)
	l.lossless(t)
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// upgrade returns when the old master has ended, which can be seen from inside only.
func (s *machine) upgrade() {
	s.t.Helper()
	if text, err := s.run("/usr/local/bin/tine", "upgrade", "--control", "/run/tine/tine.sock"); err != nil {
		s.t.Fatal(err, text)
	}
}

// TestSystemdUpgrade: systemd follows the new master, which it hears, watches, stops and brings back.
func TestSystemdUpgrade(t *testing.T) {
	t.Parallel()
	etc := packaged(t, systemdConfig)
	etc["systemd/system/tine.service.d/60-watchdog.conf"] = "[Service]\nWatchdogSec=3s\n"
	s := serving(t, etc)
	before := pids(s.mustStatus().Apps[0])
	stored := s.show("NFileDescriptorStore")
	l := s.load(4)
	s.mustSystemctl("log-level", "debug")
	for n := range 3 {
		old := s.show("MainPID")
		s.upgrade()
		main := strconv.Itoa(s.mustStatus().PID)
		if main == old {
			t.Fatalf("the master is still %s", main)
		}
		s.expect("MainPID", main)
		if n == 2 {
			mark := s.mark()
			for range 3 { // it lives longer than the old one was given
				s.awaitFrom(mark, func(e event) bool {
					return strings.Contains(e.Raw, "notification message from PID "+main) && strings.Contains(e.Raw, "WATCHDOG=1")
				})
				mark = s.mark()
			}
		}
		s.expect("ActiveState", "active")
		s.expect("StatusText", "2 of 2 ready")
	}
	if n := s.show("NFileDescriptorStore"); n != stored {
		t.Errorf("%s descriptors are stored, and %s were at first", n, stored)
	}
	if n := s.show("NRestarts"); n != "0" {
		t.Errorf("NRestarts=%s", n)
	}
	s.kill(s.master(), syscall.SIGKILL)
	s.next(1, before)
	s.upgrade()
	s.mustSystemctl("reload", "tine.service")
	s.expect("ActiveState", "active")
	l.lossless(t)
	s.tell(0, "scale", "web", "1")
	s.tell(0, "scale", "web", "2")
	mark := s.mark()
	s.kill(s.master(), syscall.SIGUSR2)
	s.awaitFrom(mark, is("rollout done"))
	s.expect("NFileDescriptorStore", stored)

	// systemd would kill a process at once that was not its child when it became the main process.
	answer, mark := s.slow(t, 500), s.mark()
	s.mustSystemctl("stop", "tine.service")
	if text, err := answer(); err != nil || !strings.HasSuffix(text, ".") {
		t.Errorf("the stop has cut a request: %q %v", text, err)
	}
	s.awaitFrom(mark, notified("STOPPING=1"))
	s.ended("inactive", "success", 0)
}

// TestSystemdStopAfterUpgrade: a stop straight after an upgrade reaches the new master, which ends in order, whatever systemd
// thinks of it.
func TestSystemdStopAfterUpgrade(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t)) // the same after each start
	s := serving(t, packaged(t, strings.Replace(systemdConfig, "127.0.0.1:0", address, 1)))
	for range 3 {
		s.upgrade()
		answer := s.slow(t, 500)
		s.mustSystemctl("stop", "tine.service")
		if text, err := answer(); err != nil || !strings.HasSuffix(text, ".") {
			t.Errorf("the stop has cut a request: %q %v", text, err)
		}
		s.ended("inactive", "success", 0)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/tine/main.pid", s.init)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the PID file is left: %v", err)
		}
		mark := s.mark()
		s.mustSystemctl("start", "tine.service")
		s.awaitFrom(mark, is("all workers are ready"))
	}
	if len(s.since(0, func(e event) bool { return strings.Contains(e.Raw, "which is not our child") })) > 0 {
		t.Error("systemd has a main process that is not its child")
	}
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// TestSystemdStartup: what tine startup installs is a service like that of scripts/packaging, with root's rights.
func TestSystemdStartup(t *testing.T) {
	t.Parallel()
	config := strings.Replace(strings.Replace(systemdConfig, "name: tine", "name: shop", 1), `, "unix:/run/tine/web.sock"`, "", 1)
	s := startMachine(t, map[string]string{
		"shop/tine.yaml": config,
		"systemd/system/tine-shop.service.d/50-test.conf": dropIn + "Environment=TINE_CONTROL=/run/tine/tine.sock\n",
	})
	s.service = "tine-shop.service"
	out, err := s.run("/usr/local/bin/tine", "startup", "-c", "/etc/shop/tine.yaml", "--install")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "enabled: tine-shop.service")
	if got := s.show("UnitFileState"); got != "enabled" {
		t.Errorf("it is %s", got)
	}
	s.mustSystemctl("start", s.service)
	s.expect("StatusText", "2 of 2 ready")
	before := pids(s.mustStatus().Apps[0])
	l := s.load(4)
	for n := range 2 {
		s.kill(s.master(), syscall.SIGKILL)
		s.next(n+1, before)
	}
	s.upgrade()
	s.mustSystemctl("reload", s.service)
	l.lossless(t)
	s.mustSystemctl("stop", s.service)
	s.nothingLeft()
	s.mustSystemctl("start", s.service)
	s.expect("StatusText", "2 of 2 ready")
	if text, err := s.run("/usr/local/bin/tine", "startup", "-c", "/etc/shop/tine.yaml", "--uninstall"); err != nil || s.show("UnitFileState") != "" {
		t.Errorf("uninstall: %v %s: %s", err, text, s.show("UnitFileState"))
	}
	s.mustSystemctl("stop", s.service)
	s.nothingLeft()
}

// TestSystemdSteering: with the rights that the unit names for it there is steering by eBPF, which outlasts a master.
func TestSystemdSteering(t *testing.T) {
	t.Parallel()
	if best := listen.Probe(); len(best) == 0 || !best[0].OK {
		t.Skipf("SKIPPED: steering by eBPF under systemd: %+v", best)
	}
	etc := packaged(t, systemdConfig)
	text := etc["systemd/system/tine.service"]
	begin, end := strings.Index(text, "# Steering by eBPF"), strings.Index(text, "# Ports below")
	if begin < 0 || end < begin {
		t.Fatal("the unit does not say how")
	}
	_, lines, _ := strings.Cut(text[begin:end], "\n")
	etc["systemd/system/tine.service"] = text[:begin] + strings.ReplaceAll(lines, "# ", "") + text[end:]
	s := serving(t, etc)
	if e := s.await(is("starting")); e.Steering != "ebpf" {
		t.Errorf("steering by %s", e.Steering)
	}
	before := pids(s.mustStatus().Apps[0])
	l := s.load(4)
	s.kill(s.master(), syscall.SIGKILL)
	s.next(1, before)
	if got := s.mustStatus().Apps[0].Steering; got != "ebpf" {
		t.Errorf("then steering by %s", got)
	}
	l.lossless(t)
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// TestSystemdStoreIsFull: what has no room in the store is logged, and after a crash its worker is replaced.
func TestSystemdStoreIsFull(t *testing.T) {
	t.Parallel()
	etc := packaged(t, systemdConfig)
	etc["systemd/system/tine.service.d/60-store.conf"] = "[Service]\nFileDescriptorStoreMax=15\nEnvironment=FDSTORE=15\n"
	s := serving(t, etc)
	e := s.await(func(e event) bool { return strings.HasPrefix(e.Message, "nothing is kept of this worker") })
	has(t, e.Raw, `"store":"it has 14 of at most 15 descriptors"`)
	before := pids(s.mustStatus().Apps[0])
	if n := s.show("NFileDescriptorStore"); n != "14" {
		t.Errorf("%s descriptors are stored", n)
	}
	l := s.load(4)
	s.kill(s.master(), syscall.SIGKILL)
	s.expect("NRestarts", "1")
	eventually.True(t, "one worker is another", func() bool {
		st, err := s.status()
		if err != nil || st.Apps[0].Ready != 2 {
			return false
		}
		same := 0
		for pid := range pids(st.Apps[0]) {
			if before[pid] {
				same++
			}
		}
		return same == 1
	})
	l.lossless(t)
	s.mustSystemctl("stop", "tine.service")
	s.endWorkers()
	s.ended("inactive", "success", 0)
}

// endWorkers is the command that the unit names for workers that have lost their master.
func (s *machine) endWorkers() {
	s.t.Helper()
	s.mustSystemctl("kill", "--kill-whom=all", "tine.service")
	eventually.True(s.t, "no worker is left", func() bool { return len(s.processes()) == 0 })
}

// TestSystemdWithoutStore: a plain unit without a descriptor store gets a keeper, which systemd
// takes for the service.
func TestSystemdWithoutStore(t *testing.T) {
	t.Parallel()
	s := startMachine(t, map[string]string{
		"tine/tine.yaml": strings.Replace(systemdConfig, `, "unix:/run/tine/web.sock"`, "", 1),
		"systemd/system/tine.service": "[Service]\nType=notify\nWatchdogSec=10s\nExecStart=/usr/local/bin/tine run -c /etc/tine/tine.yaml\n" +
			"ExecReload=/bin/kill -HUP $MAINPID\n",
		"systemd/system/tine.service.d/50-test.conf": dropIn + "Environment=TINE_CONTROL=/run/tine/tine.sock\n",
	})
	s.mustSystemctl("start", "tine.service")
	s.expect("StatusText", "2 of 2 ready")
	main, st := s.show("MainPID"), s.mustStatus()
	if strconv.Itoa(st.KeeperPID) != main {
		t.Errorf("the keeper is %d, the main process %s", st.KeeperPID, main)
	}
	before := pids(st.Apps[0])
	l := s.load(4)
	s.kill(hostPID(t, s.tine, st.PID), syscall.SIGKILL)
	eventually.True(t, "the keeper has started another master", func() bool {
		now, err := s.status()
		return err == nil && now.PID != st.PID && now.Apps[0].Ready == 2 && maps.Equal(pids(now.Apps[0]), before)
	})
	s.mustSystemctl("reload", "tine.service")
	s.expect("StatusText", "2 of 2 ready")
	l.lossless(t)
	if now := s.show("MainPID"); now != main || s.show("NRestarts") != "0" {
		t.Errorf("the main process is %s, and was %s", now, main)
	}
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// TestSystemdStopWithoutMaster: a stop while systemd has not started another one yet ends no worker, as no master is there to tell
// the workers. A kill does.
func TestSystemdStopWithoutMaster(t *testing.T) {
	t.Parallel()
	etc := packaged(t, systemdConfig)
	etc["systemd/system/tine.service.d/60-restart.conf"] = "[Service]\nRestartSec=1h\n"
	s := serving(t, etc)
	answer := s.slow(t, 1000)
	s.kill(s.master(), syscall.SIGKILL)
	s.expect("SubState", "auto-restart")
	if _, err := s.viaUnix(); err != nil {
		t.Errorf("without a master: %v", err)
	}
	s.mustSystemctl("stop", "tine.service")
	s.expect("ActiveState", "inactive")
	if n := len(s.processes()); n != 2 {
		t.Errorf("%d workers are left", n)
	}
	s.endWorkers()
	if text, err := answer(); err != nil || !strings.HasSuffix(text, ".") {
		t.Errorf("a request was cut: %q %v", text, err)
	}
	s.nothingLeft()
}

// TestSystemdStopWithoutMasterDrains: workers that want it drain then. systemd lets go of their lifelines, with all that it has
// stored, at the stop and not before.
func TestSystemdStopWithoutMasterDrains(t *testing.T) {
	t.Parallel()
	etc := packaged(t, strings.Replace(systemdConfig, "listen:", "env: {MEMBER_ORPHAN_GRACE: 10ms}\n    listen:", 1))
	etc["systemd/system/tine.service.d/60-restart.conf"] = "[Service]\nRestartSec=1h\n"
	s := serving(t, etc)
	s.kill(s.master(), syscall.SIGKILL)
	s.expect("SubState", "auto-restart")
	answer := s.slow(t, 1000)
	s.mustSystemctl("stop", "tine.service")
	eventually.True(t, "the workers have drained", func() bool { return len(s.processes()) == 0 })
	if text, err := answer(); err != nil || !strings.HasSuffix(text, ".") {
		t.Errorf("a request was cut: %q %v", text, err)
	}
	s.nothingLeft()
}

// TestSystemdRestart: the next master gets nothing of a master that was stopped.
func TestSystemdRestart(t *testing.T) {
	t.Parallel()
	s := serving(t, packaged(t, systemdConfig))
	stored := s.show("NFileDescriptorStore")
	for range 2 {
		before := pids(s.mustStatus().Apps[0])
		s.mustSystemctl("restart", "tine.service")
		s.expect("NFileDescriptorStore", stored)
		st := s.mustStatus()
		for pid := range pids(st.Apps[0]) {
			if before[pid] {
				t.Errorf("worker %d is that of before", pid)
			}
		}
		if _, err := s.viaUnix(); err != nil {
			t.Error(err)
		}
	}
	s.mustSystemctl("stop", "tine.service")
	s.ended("inactive", "success", 0)
}

// TestSystemdSocket: systemd listens, and starts the service for the first connection, which is served. The socket outlives
// the service.
func TestSystemdSocket(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	etc := packaged(t, strings.Replace(systemdConfig, "127.0.0.1:0", address, 1))
	etc["systemd/system/tine.socket"] = "[Socket]\nListenStream=" + address + "\n"
	s := startMachine(t, etc)
	s.mustSystemctl("start", "tine.socket")
	if state := s.show("ActiveState"); state != "inactive" {
		t.Fatalf("the service is %s", state)
	}
	for range 2 {
		text, err := fetch(fresh, "http://"+address+"/")
		if err != nil {
			t.Fatalf("the connection that it is started for: %v", err)
		}
		parseAbout(t, text)
		s.expect("ActiveState", "active")
		if got := s.mustStatus().Apps[0].Listen; !slices.Contains(got, address) {
			t.Errorf("it listens on %v", got)
		}
		before := pids(s.mustStatus().Apps[0])
		l := loadOn(address, 4)
		eventually.True(t, "both workers answer", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.pids) >= 2
		})
		s.kill(s.master(), syscall.SIGKILL)
		s.next(1, before)
		l.lossless(t)
		s.mustSystemctl("stop", "tine.service")
		s.expect("ActiveState", "inactive")
		if left := len(s.processes()); left > 0 {
			t.Errorf("%d processes are left", left)
		}
	}
	s.mustSystemctl("stop", "tine.socket")
	s.ended("inactive", "success", 0)
}

// TestSystemdEnds: with what code, and whether systemd starts it again.
func TestSystemdEnds(t *testing.T) {
	t.Parallel()
	const oneshot = "name: tine\napps:\n  job: {oneshot: true, command: [/bin/sh, -c, 'exit $CODE']}\n"
	t.Run("Finished", func(t *testing.T) {
		t.Parallel()
		s := startMachine(t, packaged(t, strings.Replace(oneshot, "$CODE", "0", 1)))
		_, _ = s.systemctl("start", "tine.service") // whether it was ready before is a matter of luck
		s.ended("inactive", "success", 0)
	})
	t.Run("NeverReady", func(t *testing.T) {
		t.Parallel()
		s := startMachine(t, packaged(t, strings.Replace(systemdConfig, "listen:", "env: {MEMBER_EXIT: \"3\"}\n    listen:", 1)))
		if _, err := s.systemctl("start", "tine.service"); err == nil {
			t.Error("systemctl start says nothing of a service that does not become ready")
		}
		s.expect("ExecMainStatus", "70")
		t.Log(s.show("ActiveState"), s.show("SubState"), s.show("NRestarts"), s.show("Result"))
		s.mustSystemctl("stop", "tine.service")
		s.nothingLeft()
	})
	t.Run("BadConfig", func(t *testing.T) {
		t.Parallel()
		s := startMachine(t, packaged(t, "apps: {}\n"))
		if _, err := s.systemctl("start", "tine.service"); err == nil {
			t.Error("systemctl start says nothing of a configuration that cannot be had")
		}
		s.expect("ExecMainStatus", "1")
		t.Log(s.show("ActiveState"), s.show("SubState"), s.show("NRestarts"), s.show("Result"))
	})
}

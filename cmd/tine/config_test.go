//go:build linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestRolloutReadsTheDiskAnew: the program behind a release symlink, the working
// folder, an env file: a rollout takes what is there then, and a crash before it does
// not.
func TestRolloutReadsTheDiskAnew(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, release := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, release), 0o755); err != nil {
			t.Fatal(err)
		}
		copyMember(t, filepath.Join(dir, release, "member"))
	}
	turn := func(to string) {
		t.Helper()
		if err := os.Symlink(to, dir+"/next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir+"/next", dir+"/current"); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "mode.env", "MEMBER_MODE="+to+"\n")
	}
	turn("v1")
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [current/member]
    dir: current
    env_file: [mode.env]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	all := func(release string) {
		t.Helper()
		for _, pid := range m.workers("") {
			a := parseAbout(t, m.mustAsk(pid, "/"))
			cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
			if want := filepath.Join(dir, release); a.Program != want+"/member" || cwd != want || a.Mode != release {
				t.Errorf("worker %d is %s in %s with mode %s, want %s", pid, a.Program, cwd, a.Mode, want)
			}
		}
	}
	all("v1")
	turn("v2")
	mark := m.mark()
	syscall.Kill(m.workers("")[0], syscall.SIGKILL) // a crash is not a rollout
	m.awaitFrom(mark, is("ready"))
	all("v1")
	m.roll()
	all("v2")
	m.stop()
}

// TestOneWorkerRolls without a moment in which no worker serves.
func TestOneWorkerRolls(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneCalm)
	l := m.load(6)
	for range 3 {
		m.roll()
	}
	l.lossless(t)
	if len(l.pids) < 2 {
		t.Errorf("only %d workers have served", len(l.pids))
	}
	m.stop()
}

const stopFirst = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    rollout: stop_first
    $CALM
`

// TestStopFirst never has more workers than there are slots.
func TestStopFirst(t *testing.T) {
	t.Parallel()
	m := startReady(t, stopFirst)
	mark := m.mark()
	m.roll()
	running, most := 2, 0
	for _, e := range m.since(mark, func(e event) bool { return e.Message == "spawned" || e.Message == "exited" }) {
		if e.Message == "spawned" {
			running++
		} else {
			running--
		}
		most = max(most, running)
	}
	if most > 2 || running != 2 {
		t.Errorf("at most %d workers, %d in the end, want 2 and 2", most, running)
	}
	m.stop()
}

func TestStopFirstLosesNothing(t *testing.T) {
	t.Parallel()
	m := startReady(t, stopFirst)
	l := m.load(4)
	m.roll()
	l.lossless(t)
	m.stop()
}

// TestSeveralApps live side by side: each its own address and workers, rolls one after
// the other by one signal, and one that crashes is nothing to the other.
func TestSeveralApps(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
name: shop
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_MODE: w}
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
  api:
    command: [$MEMBER]
    env: {MEMBER_MODE: a}
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
  jobs:
    command: [$MEMBER]
    workers: 1
    $FAST
`)
	for app, mode := range map[string]string{"web": "w", "api": "a"} {
		for _, address := range m.addresses(app) {
			text, err := fetch(fresh, "http://"+address+"/")
			if err != nil {
				t.Fatal(err)
			}
			if a := parseAbout(t, text); a.App != app || a.Mode != mode {
				t.Errorf("%s answered for %s: %+v", address, app, a)
			}
		}
	}
	web := fmt.Sprint(m.workers("web"))
	mark := m.mark()
	syscall.Kill(m.workers("jobs")[0], syscall.SIGKILL)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.App == "jobs" })
	if now := fmt.Sprint(m.workers("web")); now != web {
		t.Errorf("workers of web %s, want the untouched %s", now, web)
	}
	mark = m.mark()
	m.signal(syscall.SIGUSR2)
	for _, app := range []string{"web", "api", "jobs"} {
		m.awaitFrom(mark, func(e event) bool { return e.Message == "rollout done" && e.App == app })
	}
	m.stop()
}

// TestSeveralAddresses of one app are all served, before, during and after a rollout.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0", "127.0.0.1:0", "unix:$DIR/web.sock"]
    workers: 2
    $CALM
`)
	all := func() {
		t.Helper()
		addresses := m.addresses("")
		if len(addresses) != 3 {
			t.Fatalf("addresses %v, want 3", addresses)
		}
		for _, address := range addresses {
			rest := begun(t, address, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
			if text, err := rest(); err != nil || !strings.Contains(text, "200 OK") {
				t.Errorf("%s: %v %q", address, err, text)
			}
		}
	}
	all()
	l := m.load(2)
	m.roll()
	l.lossless(t)
	all()
	m.stop()
}

// TestOneAppGivesUp: the others are drained, and the status shows it.
func TestOneAppGivesUp(t *testing.T) {
	t.Parallel()
	m := startConfig(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
  bad:
    command: [$MEMBER]
    env: {MEMBER_EXIT: "1"}
    workers: 1
    $FAST
`)
	m.ended(70)
}

// TestUnixSocket is served, rolled and removed like any address.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["unix:$DIR/web.sock"]
    workers: 2
    $CALM
`)
	get := func() error {
		c := dial(t, m.address())
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err == nil && !strings.Contains(string(b[:n]), "200 OK") {
			err = fmt.Errorf("answer %q", b[:n])
		}
		return err
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if err := get(); err != nil {
				failed <- err
				return
			}
		}
	}()
	m.roll()
	m.roll()
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("a connection during the rollout: %v", err)
	}
	m.stop()

	// The socket file of a master that was killed does not stop the next one.
	crashed := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["unix:$DIR/web.sock"]
    workers: 1
    $FAST
`, alone)
	worker := crashed.workers("")[0]
	crashed.signal(syscall.SIGKILL)
	crashed.wait(patience)
	syscall.Kill(worker, syscall.SIGKILL)
	eventually.True(t, "the worker is gone", func() bool { return gone(worker) })
	path := strings.TrimPrefix(crashed.address(), "unix:")
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the test expects the socket to be left: %v", err)
	}
	again := startIn(t, folder(t), []string{"run", "-l", crashed.address(), "-n", "1", "--drain-delay", "50ms", "--", memberPath})
	again.await(is("all workers are ready"))
	again.stop()
}

// TestDualStack: a port without a host serves IPv4 and IPv6, tcp4 and tcp6 one of
// them.
func TestDualStack(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("SKIPPED: this machine has no IPv6: %v", err)
	} else {
		ln.Close()
	}
	m := startReady(t, `
apps:
  both:
    command: [$MEMBER]
    listen: [":0"]
    workers: 2
    $FAST
  four:
    command: [$MEMBER]
    listen: ["tcp4://:0"]
    workers: 1
    $FAST
  six:
    command: [$MEMBER]
    listen: ["tcp6://:0"]
    workers: 1
    $FAST
  loopback:
    command: [$MEMBER]
    listen: ["[::1]:0"]
    workers: 1
    $FAST
`)
	for app, want := range map[string][2]bool{"both": {true, true}, "four": {true, false}, "six": {false, true}, "loopback": {false, true}} {
		address := m.addresses(app)[0]
		port := address[strings.LastIndex(address, ":")+1:]
		for i, host := range []string{"127.0.0.1", "[::1]"} {
			_, err := fetch(fresh, "http://"+host+":"+port+"/")
			if (err == nil) != want[i] {
				t.Errorf("app %s (%s) on %s: answers %t, want %t (%v)", app, address, host, err == nil, want[i], err)
			}
		}
	}
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestFlagsInTheEnvironment: TINE_* variables are the flags, and no worker sees them.
func TestFlagsInTheEnvironment(t *testing.T) {
	t.Parallel()
	m := startIn(t, folder(t), []string{"run", "--", memberPath},
		withEnv("TINE_LISTEN=127.0.0.1:0", "TINE_WORKERS=2", "TINE_NAME=shop", "TINE_DRAIN_DELAY=50ms",
			"TINE_CACHE=v=exec:echo hello@1h", "LISTEN_FDS=1", "NOTIFY_SOCKET=/nowhere", "MINE=stays"))
	m.await(is("all workers are ready"))
	if n := len(m.workers("shop")); n != 2 {
		t.Errorf("%d workers of the app shop, want 2", n)
	}
	pid := m.workers("")[0]
	if v := m.mustAsk(pid, "/value?key=v"); !strings.HasSuffix(v, " hello") {
		t.Errorf("the value is %q", v)
	}
	for name, want := range map[string]string{"TINE_LISTEN": "", "TINE_CHANNEL_FD": "", "LISTEN_FDS": "", "NOTIFY_SOCKET": "", "MINE": "stays"} {
		if got := m.mustAsk(pid, "/env?name="+name); got != want {
			t.Errorf("a worker sees %s=%q, want %q", name, got, want)
		}
	}
	m.stop()
}

// TestStandalone: the same program without a master listens by itself, and ends on
// SIGTERM.
func TestStandalone(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	m := startProgram(t, dir, memberPath, nil, withEnv("MEMBER_ALONE="+address))
	var text string
	eventually.True(t, "it serves", func() (ok bool) {
		var err error
		text, err = fetch(http.DefaultClient, "http://"+address+"/")
		return err == nil
	})
	if a := parseAbout(t, text); a.PID != m.pid || a.Worker != 0 || a.Slot != 0 {
		t.Errorf("alone it is %+v", a)
	}
	rest := begun(t, address, "GET /slow?ms=300 HTTP/1.0\r\nHost: x\r\n\r\n")
	m.signal(syscall.SIGTERM)
	if text, err := rest(); err != nil || !strings.HasSuffix(text, "..") {
		t.Errorf("the request in flight was cut: %v %q", err, text)
	}
	m.ended(0)
}

//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
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
	"github.com/tinehq/tine/supervisor/control/api"
)

const onUnix = `
health: 127.0.0.1:HEALTH
metrics: 127.0.0.1:METRICS
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0", "unix:$DIR/run/web.sock?mode=0644"]
    workers: 2
    $CALM
`

// onUnixSocket is a master whose app has a socket in a folder that a test may take away.
type onUnixSocket struct {
	*tine
	path            string // of the socket
	health, metrics string
}

func startOnUnix(t *testing.T, opts ...option) *onUnixSocket {
	t.Helper()
	dir := folder(t)
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	health, metrics := strconv.Itoa(freePort(t)), strconv.Itoa(freePort(t))
	write(t, dir, "tine.yaml", strings.NewReplacer("HEALTH", health, "METRICS", metrics).Replace(onUnix))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, opts...)
	m.await(is("all workers are ready"))
	return &onUnixSocket{m, filepath.Join(dir, "run", "web.sock"), "127.0.0.1:" + health, "127.0.0.1:" + metrics}
}

// overUnix asks a worker by a Unix-domain socket.
func overUnix(path string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	_, err := fetch(client, "http://web/")
	return err
}

// reached is the app in the status, and why its addresses are not reachable; empty: they are.
func (m *onUnixSocket) reached() (a api.App, why string) {
	st, err := m.status()
	if err != nil || len(st.Apps) != 1 {
		return a, "no status"
	}
	for _, u := range st.Apps[0].Unreachable {
		why += u.Address + ": " + u.Reason + ";"
	}
	return st.Apps[0], why
}

// get gives the answer whatever its status is.
func (m *onUnixSocket) get(url string) (status int, body string) {
	m.t.Helper()
	r, err := fresh.Get("http://" + url)
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

const unreachableLine = "address is unreachable, whatever the workers say"

// TestSocketFileComesBack: whatever removes it, and whichever master is in charge then, with no request on other addresses lost.
func TestSocketFileComesBack(t *testing.T) {
	t.Parallel()
	m := startOnUnix(t, kept)
	path := m.path
	l := m.steadily(4)
	back := func(how string, do func()) {
		t.Helper()
		before := values(m.workers(""))
		do()
		eventually.True(t, how+": the socket answers", func() bool { return overUnix(path) == nil })
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v, %v; want the mode that it had", how, info.Mode(), err)
		}
		eventually.True(t, how+": the workers of the old one are replaced", func() bool {
			st, why := m.reached()
			ready := 0
			for _, w := range st.Workers {
				if w.State == "ready" && !slices.Contains(before, w.PID) {
					ready++
				}
			}
			return ready == 2 && len(st.Workers) == 2 && why == ""
		})
	}
	remove := func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	back("removed", remove)
	back("removed before a SIGHUP", func() { remove(); m.signal(syscall.SIGHUP) })
	back("removed before the master is killed", func() {
		first := m.mustStatus().PID
		remove()
		syscall.Kill(first, syscall.SIGKILL)
		eventually.True(t, "another master", func() bool { st, err := m.status(); return err == nil && st.PID != first })
	})
	back("left by a process that has died", func() {
		remove()
		other, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		other.(*net.UnixListener).SetUnlinkOnClose(false)
		other.Close()
	})
	l.lossless(t)
	m.stop()
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestUnreachableIsTold: everywhere, and no longer than it lasts.
func TestUnreachableIsTold(t *testing.T) {
	t.Parallel()
	m := startOnUnix(t)
	path := m.path
	if status, _ := m.get(m.health + "/readyz"); status != 200 {
		t.Fatalf("readyz is %d at first", status)
	}
	mark := m.mark()
	if err := os.Rename(filepath.Dir(path), filepath.Dir(path)+".away"); err != nil {
		t.Fatal(err)
	}
	e := m.awaitFrom(mark, is(unreachableLine))
	if e.Level != "error" || !strings.Contains(e.Reason, "the folder "+filepath.Dir(path)+" is gone") {
		t.Errorf("the log says %s", e.Raw)
	}
	st, why := m.reached()
	if st.Ready != 2 || !strings.HasPrefix(why, "unix:"+path+"?mode=0644: the folder ") || !strings.Contains(st.Error, "is unreachable") {
		t.Errorf("status: %d ready, %q, error %q", st.Ready, why, st.Error)
	}
	if status, body := m.get(m.health + "/readyz"); status != 503 || !strings.Contains(body, "is unreachable: the folder") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, _ := m.get(m.health + "/healthz"); status != 200 {
		t.Errorf("healthz: %d; the master lives", status)
	}
	if _, body := m.get(m.metrics + "/metrics"); !strings.Contains(body, `tine_app_address_reachable{address="unix:`+path+`?mode=0644",app="web"} 0`) ||
		!strings.Contains(body, `tine_app_address_reachable{address="`+m.address()+`",app="web"} 1`) {
		t.Errorf("metrics: %s", body)
	}
	if r, _ := m.tell(0, "ls"); !strings.Contains(r, "unreachable") {
		t.Errorf("ls: %s", r)
	}
	if r, _ := m.tell(0, "describe", "web"); !strings.Contains(r, "is unreachable: the folder") || !strings.Contains(r, "unix:"+path) {
		t.Errorf("describe: %s", r)
	}

	// Another process is there when the folder is: it keeps the address as long as it listens.
	other := filepath.Join(filepath.Dir(path)+".away", "web.sock")
	os.Remove(other)
	ln, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	holder := strings.TrimSpace(string(comm)) + " (PID " + strconv.Itoa(os.Getpid()) + ")"
	mark = m.mark()
	if err := os.Rename(filepath.Dir(path)+".away", filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	e = m.awaitFrom(mark, func(e event) bool {
		return e.Message == unreachableLine && strings.Contains(e.Reason, "another process")
	})
	if !strings.Contains(e.Reason, "address already in use by "+holder) {
		t.Errorf("it is not told who has it: %s", e.Raw)
	}
	ln.Close()
	m.awaitFrom(mark, is("address is reachable again"))
	eventually.True(t, "the socket answers", func() bool { return overUnix(path) == nil })
	if status, body := m.get(m.health + "/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, body)
	}
	m.stop()
}

// TestLooksLeaveNoTrace: a worker does not notice that its address is looked at.
func TestLooksLeaveNoTrace(t *testing.T) {
	t.Parallel()
	m := startOnUnix(t)
	for range 3 { // each order makes a look, and so does each second
		m.tell(0, "scale", "2")
	}
	st, why := m.reached()
	if why != "" {
		t.Fatal(why)
	}
	for _, w := range st.Workers {
		if w.Requests+uint64(w.Connections)+w.Errors > 0 {
			t.Errorf("worker %d has counted: %+v", w.PID, w)
		}
	}
	_, body := m.get(m.metrics + "/metrics")
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "tine_slot_accepted_connections_total") && !strings.HasSuffix(line, " 0\n") {
			t.Error(line)
		}
	}
	m.stop()
}

// TestAddressOfAnInterface: an interface loses its address, and gets it again.
func TestAddressOfAnInterface(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 || exec.Command("unshare", "--net", "ip", "link", "set", "lo", "up").Run() != nil {
		t.Skip("SKIPPED: needs root, unshare and ip, for a network namespace")
	}
	dir := folder(t)
	write(t, dir, "tine.yaml", strings.Replace(twoWorkers, "127.0.0.1:0", "192.0.2.7:7000", 1))
	m := startProgram(t, dir, "unshare", []string{"--net", "sh", "-c",
		"ip link set lo up && ip addr add 192.0.2.7/32 dev lo && exec " + tinePath + " run -c tine.yaml"})
	m.await(is("all workers are ready"))
	ip := func(args ...string) {
		t.Helper()
		enter := []string{"--net=/proc/" + strconv.Itoa(m.pid) + "/ns/net", "ip", "addr"}
		if out, err := exec.Command("nsenter", append(enter, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	mark := m.mark()
	ip("del", "192.0.2.7/32", "dev", "lo")
	e := m.awaitFrom(mark, is(unreachableLine))
	if !strings.Contains(e.Reason, "no network interface here has 192.0.2.7 any more") {
		t.Errorf("%s", e.Raw)
	}
	ip("add", "192.0.2.7/32", "dev", "lo")
	m.awaitFrom(mark, is("address is reachable again"))
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/fleet"
)

// asServer makes this program a server of an app: it listens, tells its addresses, and accepts until its input ends.
const asServer = "TINE_TEST_SERVE"

func serveIfAsked() {
	if os.Getenv(asServer) == "" {
		return
	}
	for _, a := range strings.Fields(os.Getenv(asServer)) {
		network := "tcp"
		if filepath.IsAbs(a) {
			network = "unix"
		}
		l, err := net.Listen(network, a)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(l.Addr())
		go func() {
			for {
				if _, err := l.Accept(); err != nil {
					return
				}
			}
		}()
	}
	if to := os.Getenv("TINE_TEST_DIAL"); to != "" {
		if _, err := net.Dial("tcp", to); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// server is a process of an app below a folder srv.
type server struct {
	cmd       *exec.Cmd
	addresses []string
	stop      func()
}

func serve(t *testing.T, root, app, listen, dial string) server {
	t.Helper()
	folder := filepath.Join(root, "srv", app)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), asServer+"="+listen, "TINE_TEST_DIAL="+dial)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := server{cmd: cmd}
	ended := false
	s.stop = func() {
		if !ended {
			ended = true
			in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(s.stop)
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		s.addresses = append(s.addresses, lines.Text())
	}
	if len(s.addresses) != len(strings.Fields(listen)) {
		t.Fatalf("%s: %v", app, s.addresses)
	}
	return s
}

func self(t *testing.T, root string) Source {
	t.Helper()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return Source{
		Name: "processes", Command: strings.TrimSpace(string(comm)), User: me.Uid,
		AppFrom: regexp.MustCompile(regexp.QuoteMeta(root) + "/" + fromFolder.String()), Every: 10 * time.Millisecond,
	}
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRealProcesses: two processes of one app, one of another, users on TCP and Unix sockets, a connection of an app to a database, and an
// app that ends: samples have what is, and no part of it.
func TestRealProcesses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	database, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	a1 := serve(t, root, "app_1", "127.0.0.1:0 "+filepath.Join(root, "s"), database.Addr().String())
	a2 := serve(t, root, "app_1", "[::]:0", "")
	b := serve(t, root, "app_2", "127.0.0.1:0", "")

	s := self(t, root)
	s.Known = known("app_1", "app_2", "app_3")
	ctx, cancel := context.WithCancel(t.Context())
	samples, ended := make(chan fleet.Listed, 1), make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, func(ev fleet.Event) {
			if e, ok := ev.(fleet.Listed); ok {
				select {
				case samples <- e:
				case <-ctx.Done():
				}
			} else {
				t.Errorf("%+v", ev)
			}
		})
	}()
	defer func() { cancel(); <-ended }()
	await := func(want string) {
		t.Helper()
		eventually.True(t, want, func() bool {
			var got []string
			for _, m := range eventually.Receive(t, "a sample", samples).Members {
				text := m.ID + " unknown"
				if m.Report != nil {
					text = fmt.Sprint(m.ID, " ", m.Report.Stats["connections"])
					if m.Report.Stats[Memory] < 1<<20 {
						t.Errorf("%s has %v bytes", m.ID, m.Report.Stats[Memory])
					}
				}
				got = append(got, text)
			}
			return strings.Join(got, ", ") == want
		})
	}
	await("app_1 0, app_2 0, app_3 unknown")
	first := dial(t, "tcp", a1.addresses[0])
	dial(t, "unix", a1.addresses[1])
	_, port, _ := net.SplitHostPort(a2.addresses[0])
	dial(t, "tcp", "127.0.0.1:"+port)
	dial(t, "tcp", b.addresses[0])
	await("app_1 3, app_2 1, app_3 unknown")
	first.Close()
	b.stop()
	await("app_1 2, app_2 unknown, app_3 unknown")
}

// TestNoPermission: what keeps a user from looking is told, with what helps.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	serve(t, root, "app_1", "127.0.0.1:0", "")
	s := self(t, root)
	// The look of user nobody, by a process of its own: credentials are those of a thread.
	asNobody(t, func() {
		proc, err := procfs.NewDefaultFS()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = s.look(proc, 0)
		if err == nil || !strings.Contains(err.Error(), "run Tine as the user of that process or as root, or give it CAP_SYS_PTRACE") {
			t.Errorf("got %v", err)
		}
	})
}

// asNobody calls f on a thread of another user.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}

// TestUnknownUser: it is told once, and nothing else.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	s := self(t, "/nowhere")
	s.User = "no-such-user"
	ctx, cancel := context.WithCancel(t.Context())
	var told []fleet.Event
	s.Run(ctx, func(ev fleet.Event) { told = append(told, ev); cancel() })
	if silent, ok := told[0].(fleet.Silent); len(told) != 1 || !ok || !strings.Contains(silent.Why, "user no-such-user") {
		t.Errorf("%+v", told)
	}
}

// TestProbe: root may see all processes; another user is told what it may not.
func TestProbe(t *testing.T) {
	t.Parallel()
	switch err := Probe(); {
	case os.Geteuid() == 0 && err != nil:
		t.Error(err)
	case err != nil && !errors.Is(err, fs.ErrPermission):
		t.Errorf("%v, which is not a permission that is missing", err)
	}
}

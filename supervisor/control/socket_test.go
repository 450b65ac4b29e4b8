package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
)

func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s, _ := serve(t, &fake{})
	for path, want := range map[string]os.FileMode{s.Path(): 0o600, filepath.Dir(s.Path()): 0o700, s.Path() + lockSuffix: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %03o, want %03o", path, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(s.Path())); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// staleSocket leaves what a killed process leaves: a socket without a listener.
func staleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(folder(t), "web.sock")
	staleSocket(t, path)
	if err := os.WriteFile(path+lockSuffix, []byte("4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(&fake{}, Options{Path: path})
	c := start(t, s)
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
}

// TestSocketRemoved: a cleaner of temporary folders takes the socket away, with its lock
// and its folder or without.
func TestSocketRemoved(t *testing.T) {
	s, c := serve(t, &fake{})
	if again, err := s.Renew(); again || err != nil {
		t.Fatalf("a socket that is there: made again %v, %v", again, err)
	}
	for _, remove := range []func() error{
		func() error { return os.Remove(s.Path()) },
		func() error { return errors.Join(os.Remove(s.Path()), os.Remove(s.Path()+lockSuffix)) },
		func() error { return os.RemoveAll(filepath.Dir(s.Path())) },
	} {
		c.Close()
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(boundedContext(t)); !errors.Is(err, ErrNotRunning) {
			t.Fatalf("without its socket: %v", err)
		}
		if again, err := s.Renew(); !again || err != nil {
			t.Fatalf("made again: %v, %v", again, err)
		}
		if _, err := c.Status(boundedContext(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSocketOfAnotherMaster: one whose socket was removed leaves alone what another
// has made at its path.
func TestSocketOfAnotherMaster(t *testing.T) {
	first, c := serve(t, &fake{})
	c.Close()
	if err := os.RemoveAll(filepath.Dir(first.Path())); err != nil {
		t.Fatal(err)
	}
	second := start(t, New(&fake{}, Options{Path: first.Path()}))
	if again, err := first.Renew(); again || !errors.Is(err, ErrInUse) {
		t.Fatalf("made again at a path in use: %v, %v", again, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Status(boundedContext(t)); err != nil {
		t.Fatalf("the second one: %v", err)
	}
}

// TestHungUp: a listener that hangs up at once, as one with too many connections does.
func TestHungUp(t *testing.T) {
	path := filepath.Join(folder(t), "web.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	c := NewClient(path)
	defer func() { c.Close(); l.Close(); <-ended }()
	if _, err := c.Status(boundedContext(t)); err == nil || !strings.Contains(err.Error(), "the master at "+path+" hung up") {
		t.Errorf("got %v", err)
	}
}

// TestHungUpWhileIdle: a master ends the connection after an answer. An order on it, or on the next one, is cut: it may have been
// begun.
func TestHungUpWhileIdle(t *testing.T) {
	path := filepath.Join(folder(t), "web.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && first {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			}
			conn.Close()
		}
	}()
	c := NewClient(path)
	defer func() { c.Close(); l.Close(); <-ended }()
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
	var cut *CutError
	if err := c.Do(boundedContext(t), api.Order{Verb: api.VerbReload, App: "web"}, nil); !errors.As(err, &cut) {
		t.Errorf("got %v", err)
	}
}

func TestPathInUse(t *testing.T) {
	s, c := serve(t, &fake{})
	second := New(&fake{}, Options{Path: s.Path()})
	err := second.Listen()
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "pid ") {
		t.Fatalf("a second master at one path: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Fatalf("the first one: %v", err)
	}
	// The socket of a program that does not use the lock is not removed either.
	path := filepath.Join(folder(t), "other.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := New(&fake{}, Options{Path: path}).Listen(); !errors.Is(err, ErrInUse) {
		t.Fatalf("a path of another program: %v", err)
	}
}

// Of many that want one path after a crash, one gets it, each time.
func TestRaceForAPath(t *testing.T) {
	path := filepath.Join(folder(t), "web.sock")
	for range 30 {
		staleSocket(t, path)
		var mu sync.Mutex
		var won []*Server
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				s := New(&fake{}, Options{Path: path})
				<-gate
				switch err := s.Listen(); {
				case err == nil:
					mu.Lock()
					won = append(won, s)
					mu.Unlock()
				case !errors.Is(err, ErrInUse):
					t.Errorf("Listen: %v", err)
				}
			})
		}
		close(gate)
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d servers listen at one path", len(won))
		}
		conn, err := dial(context.Background(), path)
		if err != nil {
			t.Fatalf("the winner cannot be reached: %v", err)
		}
		conn.Close()
		if err := won[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	dir := folder(t)
	file := filepath.Join(dir, "file.sock")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                            "no path",
		file:                          "not a socket",
		file + "/web.sock":            "not a directory",
		open + "/web.sock":            "changed by others",
		dir + strings.Repeat("x", 99): "its path has",
		"/proc/tine/web.sock":         "/proc/tine", // a file system that takes nothing
	} {
		s := New(&fake{}, Options{Path: path, Logger: zerolog.Nop()})
		err := s.Listen()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Listen at %q: %v, want %q", path, err, want)
		}
		if err := s.Serve(); err == nil {
			t.Errorf("Serve without a socket is fine")
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close without a socket: %v", err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "mine" {
		t.Errorf("the file that is not a socket: %q, %v", data, err)
	}
	if os.Geteuid() == 0 {
		theirs := filepath.Join(dir, "theirs")
		if err := errors.Join(os.Mkdir(theirs, 0o700), os.Chown(theirs, nobody, nobody)); err != nil {
			t.Fatal(err)
		}
		if err := New(&fake{}, Options{Path: theirs + "/web.sock"}).Listen(); err == nil || !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("a folder of another user: %v", err)
		}
	}
}

// A read-only file system is an error that says so, and nothing else.
func TestReadOnly(t *testing.T) {
	dir := folder(t)
	readOnly(t, dir)
	err := New(&fake{}, Options{Path: filepath.Join(dir, "tine", "web.sock")}).Listen()
	if !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("Listen: %v", err)
	}
	t.Log(err)
}

func TestDiscover(t *testing.T) {
	dir := folder(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir) // so that nothing of this machine's is found there
	s := New(&fake{}, Options{Path: DefaultPath("web")})
	start(t, s)
	staleSocket(t, DefaultPath("api"))
	if err := os.WriteFile(DefaultPath("text"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var mine []Instance
	for _, i := range Discover(context.Background()) {
		if strings.HasPrefix(i.Path, dir) {
			mine = append(mine, i)
		}
	}
	if len(mine) != 2 || mine[0].Name != "api" || mine[0].Alive || !errors.Is(mine[0].Err, ErrNotRunning) ||
		mine[1].Name != "web" || !mine[1].Alive || mine[1].Path != s.Path() {
		t.Errorf("Discover = %+v", mine)
	}
}

func TestBodyTooLarge(t *testing.T) {
	s, c := serve(t, &fake{})
	// Told by its length before it is sent, and cut while it is sent.
	conn := rawConn(t, s.Path(), "PUT /v1/cache/a HTTP/1.1\r\nHost: tine\r\nContent-Length: 99999999999\r\n\r\n")
	if _, err := readUntil(conn, `"status":413`); err != nil {
		t.Error(err)
	}
	chunked := rawConn(t, s.Path(), "POST /v1/apps/web/stop HTTP/1.1\r\nHost: tine\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n"+strings.Repeat("x", 0x20000)+"\r\n")
	if _, err := readUntil(chunked, `"status":413`); err != nil {
		t.Error(err)
	}
	unwanted := rawConn(t, s.Path(), "GET /v1/status HTTP/1.1\r\nHost: tine\r\nContent-Length: 100\r\n\r\n{")
	if _, err := readUntil(unwanted, `"status":400`); err != nil {
		t.Error(err)
	}
	head := rawConn(t, s.Path(), "GET /v1/status HTTP/1.1\r\nHost: tine\r\nX: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n")
	if _, err := readUntil(head, "431"); err != nil {
		t.Error(err)
	}
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Error(err)
	}
	big := make([]byte, 8<<20)
	if _, err := c.SetValue(boundedContext(t), "big", big); err != nil {
		t.Error(err)
	}
	if got, _, err := c.Value(boundedContext(t), "big"); err != nil || len(got) != len(big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

// strangerPath tells the test's own program, started as another user, what to ask.
const strangerPath = "TINE_TEST_STRANGER"

const nobody = 65534

// stranger asks the socket for its status and prints what it got.
func stranger() {
	conn, err := net.Dial("unix", os.Getenv(strangerPath))
	switch {
	case errors.Is(err, syscall.EACCES):
		fmt.Println("not let in")
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: tine\r\nConnection: close\r\n\r\n") // may be too late already
	data, _ := io.ReadAll(conn)
	fmt.Printf("answer: %q\n", data)
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: that another user is refused needs root, to become one")
	}
	dir := folder(t)
	if err := os.Chmod(dir, 0o755); err != nil { // so that the other user can run the program
		t.Fatal(err)
	}
	program := filepath.Join(dir, "stranger")
	data, err := os.ReadFile("/proc/self/exe")
	if runtime.GOOS != "linux" {
		data, err = os.ReadFile(os.Args[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	s, c := serve(t, &fake{}, func(o *Options) {
		o.Path = filepath.Join(dir, "s", "web.sock")
		o.Logger = zerolog.New(&log)
	})
	ask := func() string {
		cmd := exec.CommandContext(boundedContext(t), program)
		cmd.Env = []string{strangerPath + "=" + s.Path()}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		return strings.TrimSpace(string(out))
	}
	if got := ask(); got != "not let in" {
		t.Errorf("with the folder closed: %s", got)
	}
	// The check of the peer holds by itself.
	for path, mode := range map[string]os.FileMode{filepath.Dir(s.Path()): 0o755, s.Path(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(); got != `answer: ""` {
		t.Errorf("with the folder open: %s", got)
	}
	if text := log.String(); !strings.Contains(text, `"peer_uid":65534`) {
		t.Errorf("log: %s", text)
	}
	if _, err := c.Status(boundedContext(t)); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

func TestPeer(t *testing.T) {
	me := os.Geteuid()
	for _, test := range []struct {
		uid                int
		mayAsk, mayBelieve bool
	}{{0, true, true}, {me, true, true}, {me + 1, false, me == 0}} {
		p := peer{uid: test.uid}
		if p.mayAsk() != test.mayAsk || p.mayAnswer() != test.mayBelieve {
			t.Errorf("user %d: may ask %v, may answer %v", test.uid, p.mayAsk(), p.mayAnswer())
		}
	}
}

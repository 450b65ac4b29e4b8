package control

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestOneProcessCannotTakeAllConnections: the oldest idle ones of a process that opens more than its share give way, and those of others do not.
func TestOneProcessCannotTakeAllConnections(t *testing.T) {
	s, c := serve(t, &fake{})
	var held []net.Conn
	for range maxConns {
		conn, err := net.Dial("unix", s.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(boundedContext(t), program)
	cmd.Env = []string{strangerPath + "=" + s.Path()}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), `answer: "HTTP/1.1 200 OK`) {
		t.Errorf("another process: %.200s, %v", out, err)
	}
	gone, kept := held[0], held[len(held)-1]
	gone.SetReadDeadline(time.Now().Add(bound))
	if n, err := gone.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the oldest connection over the bound: read %d bytes, %v", n, err)
	}
	if _, err := kept.Write([]byte("GET /v1/status HTTP/1.0\r\nHost: tine\r\n\r\n")); err != nil {
		t.Error(err)
	}
	kept.SetReadDeadline(time.Now().Add(bound))
	if n, err := kept.Read(make([]byte, 1)); n != 1 {
		t.Errorf("the newest connection of the process: %v, want an answer", err)
	}
	// The share is free again when the connections have ended.
	for _, conn := range held {
		conn.Close()
	}
	eventually.NoError(t, "the process is served after all were closed", func() error {
		_, err := c.Status(boundedContext(t))
		return err
	})
}

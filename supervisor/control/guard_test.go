package control

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestOneProcessCannotTakeAllConnections: who opens more than its share is refused, and others are not.
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
	last := held[len(held)-1]
	last.SetReadDeadline(time.Now().Add(bound))
	if n, err := last.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection over the bound: read %d bytes, %v", n, err)
	}
	// The share is free again when the connections have ended.
	for _, conn := range held {
		conn.Close()
	}
	for deadline := time.Now().Add(bound); ; {
		if _, err = c.Status(boundedContext(t)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after all were closed: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOpenConns(t *testing.T) {
	var o openConns
	for pid := range maxConns / maxPeerConns {
		for range maxPeerConns {
			if refusal := o.add(peer{pid: pid}); refusal != "" {
				t.Fatal(refusal)
			}
		}
	}
	if refusal := o.add(peer{pid: 99}); refusal != "too many connections at the control socket" {
		t.Errorf("one too many: %q", refusal)
	}
	o.remove(peer{pid: 1})
	if refusal := o.add(peer{pid: 2}); refusal != "too many connections of one process at the control socket" {
		t.Errorf("one too many of process 2: %q", refusal)
	}
	if refusal := o.add(peer{pid: 1}); refusal != "" {
		t.Errorf("process 1 again: %q", refusal)
	}
	for pid := range maxConns / maxPeerConns {
		for range maxPeerConns {
			o.remove(peer{pid: pid})
		}
	}
	if o.all != 0 || len(o.byPID) != 0 {
		t.Errorf("left: %d, %v", o.all, o.byPID)
	}
}

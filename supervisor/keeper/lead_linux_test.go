package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLeadUnderSystemd returns when systemd has read who the main process is, so that the end of the old one comes after it.
func TestLeadUnderSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envNotify, path)
	t.Setenv(EnvKeeper, "")
	t.Setenv(EnvPIDFile, "")
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	// systemd holds the pipe of the barrier until it has read what came before.
	led := make(chan error, 1)
	go func() { led <- c.Lead(t.Context()) }()
	read := func() (text string, fds []int) {
		t.Helper()
		buf, oob := make([]byte, 1000), make([]byte, unix.CmsgSpace(4))
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			some, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, some...)
		}
		return string(buf[:n]), fds
	}
	if text, fds := read(); text != fmt.Sprintf("MAINPID=%d", os.Getpid()) || len(fds) > 0 {
		t.Fatalf("%q with %v", text, fds)
	}
	text, fds := read()
	if text != "BARRIER=1" || len(fds) != 1 {
		t.Fatalf("%q with %v", text, fds)
	}
	select {
	case err := <-led:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	unix.Close(fds[0])
	select {
	case err := <-led:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it still waits")
	}
}

// TestLeadByPIDFile: where the unit has one, it tells, and nothing else does.
func TestLeadByPIDFile(t *testing.T) {
	dir := t.TempDir()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv(envNotify, dir+"/notify")
	t.Setenv(EnvKeeper, "")
	t.Setenv(EnvPIDFile, dir+"/main.pid")
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.WriteFile(dir+"/main.pid", []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(dir + "/main.pid"); err != nil || string(text) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(conn.SetReadDeadline(time.Now().Add(20*time.Second)), c.Notify("X-END=1")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "X-END=1" {
		t.Errorf("%q was sent, %v", buf[:n], err)
	}
	t.Setenv(EnvPIDFile, dir+"/none/main.pid")
	if err := c.Lead(t.Context()); err == nil {
		t.Error("no error for a file that cannot be written")
	}
}

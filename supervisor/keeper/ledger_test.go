package keeper

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNumbered: the names under systemd tell the order, and those of others stay as they are.
func TestNumbered(t *testing.T) {
	for text, want := range map[string]string{
		"web": "web 0", "web#1": "web 1", "web#10": "web 10", "web#0": "web#0 0", "web#01": "web#01 0", "web#": "web# 0",
		"#1": "#1 0", "web#-1": "web#-1 0", "a#1#2": "a#1 2",
	} {
		name, k := number(text)
		if got := fmt.Sprint(name, " ", k); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	names := []string{"b#2", "a#1", "state", "b", "a", "b#1"}
	var sorted []string
	for _, i := range inOrder(names) {
		if strings.HasPrefix(names[i], "b") {
			sorted = append(sorted, names[i])
		}
	}
	if !slices.Equal(sorted, []string{"b", "b#1", "b#2"}) {
		t.Errorf("in the order %v", sorted)
	}
}

// TestLedger: what is beyond the limit is not stored at all, and there is room again for what is removed.
func TestLedger(t *testing.T) {
	l := ledger{limit: 6}
	for _, name := range []string{"worker.1.1", "state"} {
		if k, err := l.add(name, len(name)/3); err != nil || k != 0 { // 3 and 1
			t.Fatal(name, k, err)
		}
	}
	if k, err := l.add("worker.1.1", 1); err != nil || k != 3 {
		t.Errorf("the next file has number %d, %v", k, err)
	}
	if _, err := l.add("worker.1.2", 2); err == nil || !strings.Contains(err.Error(), "2 more files beside 5") {
		t.Errorf("more than the limit: %v", err)
	}
	if n := l.remove("worker.1.1"); n != 4 {
		t.Errorf("%d files are removed", n)
	}
	if n := l.remove("worker.1.1"); n != unknownFiles {
		t.Errorf("%d files are removed of a name that is not known", n)
	}
	if _, err := l.add("worker.1.2", 5); err != nil {
		t.Error(err)
	}
	l = ledger{}
	if _, err := l.add(strings.Repeat("x", maxName), maxNames/maxName); err == nil {
		t.Error("names were taken that no program can be started with")
	}
	if l.files != 0 || l.names != 0 {
		t.Errorf("%d files, %d bytes of names", l.files, l.names)
	}
}

// TestStoredWithSystemd is what systemd is sent: a name for each file.
func TestStoredWithSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv(envNotify, path)
	t.Setenv(EnvKeeper, "")
	t.Setenv(envStore, "5")
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Held(map[string][]*os.File{"old": {nil, nil}})
	said := func(want ...string) {
		t.Helper()
		for _, want := range want {
			buf := make([]byte, 1000)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			n, _, _, _, err := conn.ReadMsgUnix(buf, nil)
			if err != nil || !strings.HasSuffix(string(buf[:n]), "\nFDNAME="+want) {
				t.Fatalf("%q, %v; want %s", buf[:n], err, want)
			}
		}
	}
	if err := c.Store("worker", os.Stdin, os.Stdout, os.Stderr); err != nil {
		t.Fatal(err)
	}
	said("worker", "worker#1", "worker#2")
	if err := c.Store("more", os.Stdin); err == nil {
		t.Error("a file was stored beyond the limit")
	}
	for _, name := range []string{"old", "worker", "unknown"} {
		if err := c.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	said("old", "old#1", "worker", "worker#1", "worker#2", "unknown", "unknown#1", "unknown#2", "unknown#3")
}

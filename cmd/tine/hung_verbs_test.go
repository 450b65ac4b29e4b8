//go:build linux

package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMasterThatHangs: a master that takes connections and never answers holds no command
// up for long, least of all a completion.
func TestMasterThatHangs(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	dir := filepath.Join(sh.dir, "control")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "hung.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	sh.do(0, "__complete", "reload", "")
	// Slower by how much this machine is slower at starting a process now.
	sh.do(0, "version")
	if took := time.Since(began); took > patience {
		t.Errorf("completion took %s", took)
	}
	_, text := sh.do(1, "status")
	has(t, text, "no answer of the master at "+filepath.Join(dir, "hung.sock"))
	out, _ := sh.do(0, "ls")
	has(t, out, "hung", "no answer")
	_, text = sh.do(1, "start", "-l", "127.0.0.1:0", "--name", "hung", "--", memberPath)
	has(t, text, "cannot see whether hung runs already")
}

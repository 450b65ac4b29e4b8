//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestSecondMaster: as long as a master lives, whatever becomes of it and of the folder of its socket, its user finds it and no
// second one of its name or its config starts, by start or by run.
func TestSecondMaster(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"on", "off"} {
		t.Run("keeper="+mode, func(t *testing.T) {
			t.Parallel()
			testSecondMaster(t, mode == "on")
		})
	}
}

func testSecondMaster(t *testing.T, kept bool) {
	mode := map[bool]string{true: "on", false: "off"}[kept]
	sh := newShell(t, "TINE_CONTROL=", "TINE_KEEPER="+mode)
	world := filepath.Join(sh.dir, "world")
	socket := filepath.Join(world, "web.sock")
	write(t, sh.dir, "tine.yaml", webConfig)
	sh.do(0, "start", "-c", "tine.yaml")
	before := sh.status()
	refused := func(when string) {
		t.Helper()
		for _, verb := range []string{"start", "run"} {
			_, text := sh.do(1, verb, "-c", "tine.yaml")
			if !strings.Contains(text, fmt.Sprintf("web runs already (pid %d, config %s/tine.yaml", foremost(sh.status()), sh.dir)) {
				t.Errorf("%s: tine %s says %s", when, verb, text)
			}
		}
	}
	refused("as it is")

	if err := os.RemoveAll(world); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(world, nil, 0o600); err != nil { // so that it cannot be made again, as after a logout
		t.Fatal(err)
	}
	answers := func() bool {
		cmd, out, _ := sh.command("ls")
		return cmd.Run() == nil && strings.Contains(out.String(), "web")
	}
	sh.do(0, "status") // waits until it listens elsewhere
	eventually.True(t, "it is found without its folder", answers)
	refused("without its folder")
	if err := errors.Join(os.Remove(world), os.Mkdir(world, 0o700)); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "its socket is back", func() bool { _, err := os.Lstat(socket); return err == nil })
	refused("with its folder again")

	write(t, sh.dir, "tine.yaml", "name: other\n"+webConfig)
	_, text := sh.do(1, "start", "-c", "tine.yaml")
	has(t, text, "tine.yaml is run already, by the master web (pid ", "tine config apply -m web", "with --name other")
	sh.do(0, "start", "-c", "tine.yaml", "--name", "third")
	sh.do(0, "stop", "-m", "third")
	write(t, sh.dir, "tine.yaml", webConfig)

	if kept {
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "another master answers", func() bool { return answers() && sh.status().PID != before.PID })
		refused("after a crash")
		if err := syscall.Kill(before.KeeperPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, text := sh.do(1, "run", "-c", "tine.yaml") // at once: it may not answer yet, but the name is taken
		has(t, text, "web runs already (pid ")
		eventually.True(t, "a master below another keeper answers", func() bool {
			return answers() && sh.status().KeeperPID != before.KeeperPID && sh.status().KeeperPID != 0
		})
		refused("after the end of the keeper")
	}
	sh.do(0, "upgrade")
	refused("after an upgrade")

	last := sh.status()
	if err := syscall.Kill(foremost(last), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	sh.do(0, "start", "-c", "tine.yaml") // waits for its end
	if now := sh.status(); foremost(now) == foremost(last) {
		t.Errorf("pid %d runs on", foremost(now))
	}
	sh.do(0, "stop")
}

// TestSecondMasterOfAnEnvironment: two environments of one config, whose names differ, are two masters.
func TestSecondMasterOfAnEnvironment(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "TINE_CONTROL=", "TINE_KEEPER=off")
	write(t, sh.dir, "tine.yaml", webConfig+"environments: {live: {name: live}, test: {name: test}}\n")
	sh.do(0, "start", "-c", "tine.yaml", "--env", "live")
	sh.do(0, "start", "-c", "tine.yaml", "--env", "test")
	_, text := sh.do(1, "start", "-c", "tine.yaml", "--env", "test")
	has(t, text, "test runs already (pid ")
	sh.do(0, "stop", "-m", "live")
	sh.do(0, "stop", "-m", "test")
	_, text = sh.do(3, "status")
	has(t, text, "no tine is running: start one with ", "the last log is "+filepath.Join(sh.dir, "tine", "test.log"))
}

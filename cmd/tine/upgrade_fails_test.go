//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
)

// goesOn waits until one master is in charge, of the workers of before, and holds it to what must be then: no process more
// than there were, and it can be upgraded.
func (m *tine) goesOn(before api.Status, processes int) api.Status {
	m.t.Helper()
	var st api.Status
	eventually.True(m.t, "a master is in charge of all workers", func() (ok bool) {
		var err error
		st, err = m.status()
		return err == nil && len(st.Apps) == 1 && st.Apps[0].Ready == 2 && slices.Equal(workerPIDs(st), workerPIDs(before))
	})
	eventually.True(m.t, "no process is left over", func() bool { return len(m.processes()) == processes })
	os.Remove(filepath.Join(m.dir, "steps"))
	m.tell(0, "upgrade")
	now := m.mustStatus()
	if now.PID == st.PID || !slices.Equal(workerPIDs(now), workerPIDs(before)) {
		m.t.Errorf("after another upgrade master %d has %v; %d had %v before", now.PID, workerPIDs(now), st.PID, workerPIDs(before))
	}
	eventually.True(m.t, "the old master has gone", func() bool { return gone(st.PID) && len(m.processes()) == processes })
	return st
}

// TestUpgradeThatFails: at whatever step the old or the new master dies, ends or hangs: the workers serve, and one master is
// in charge in the end.
func TestUpgradeThatFails(t *testing.T) {
	t.Parallel()
	const old, another = "the old one goes on", "it is another"
	for _, c := range []struct{ step, what, then string }{
		{stepChecked, "die", another},
		{stepBegun, "die", old},
		{stepBegun, "exit", old},
		{stepBegun, "hang", old},
		{stepBegun, "kill the old one", another},
		{stepPrepared, "die", another},
		{stepGiven, "die", another},
		{stepReceived, "die", old},
		{stepReceived, "kill the old one", another},
		{stepLeading, "die", old},
		{stepLeading, "exit", old},
		{stepLeading, "kill the old one", another},
		{stepAdopted, "die", old},
		{stepAdopted, "exit", old},
		{stepAdopted, "hang", old},
		{stepAdopted, "kill the old one", another},
		{stepReady, "die", ""},
		{stepReady, "exit", ""},
		{stepReady, "kill the old one", another},
		{stepLeft, "die", another},
	} {
		t.Run(c.step+"-"+strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoCalm, kept, withEnv("TEST_UPGRADE_TIMEOUT=5s"))
			st := m.mustStatus()
			processes := len(m.processes())
			l := m.steadily(2)
			write(t, m.dir, "steps", c.step+" "+c.what+"\n")
			cmd, out, stderr := m.command("upgrade")
			err := cmd.Run()
			if c.then == old {
				if err == nil {
					t.Errorf("it has ended well: %s", out)
				}
				has(t, stderr.String(), "tine: cannot upgrade to "+tinePath)
				if lines := strings.Count(stderr.String(), "\n"); lines != 1 {
					t.Errorf("%d lines: %s", lines, stderr)
				}
			}
			if text := stderr.String(); c.then == another && err != nil && !strings.Contains(text, "has ended during the upgrade; pid ") {
				t.Errorf("it says: %s", text)
			}
			now := m.goesOn(st, processes)
			if c.then == old && now.PID != st.PID || c.then == another && now.PID == st.PID {
				t.Errorf("master %d is in charge, %d was", now.PID, st.PID)
			}
			l.lossless(t)
			m.signal(syscall.SIGTERM)
			m.ended(0)
		})
	}
}

// TestUpgradeToWhatIsNone: the checks before anything else.
func TestUpgradeToWhatIsNone(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept, withEnv("TEST_UPGRADE_TIMEOUT=2s"))
	st := m.mustStatus()
	processes := len(m.processes())
	l := m.steadily(2)
	program := func(name, text string) {
		write(t, m.dir, name, text)
		if err := os.Chmod(filepath.Join(m.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("exits", "#!/bin/sh\necho 'no such library' >&2\nexit 1\n")
	program("sleeps", "#!/bin/sh\nsleep 60 & sleep 60\n")
	program("other", "#!/bin/sh\necho other version 3\n")
	program("truncated", "\x7fELF")
	program("picky", "#!/bin/sh\n[ \"$1\" = --version ] && exec "+tinePath+" --version\necho 'tine: tine.yaml:3: there is no key \"apps\"' >&2\nexit 1\n")
	program("begins", "#!/bin/sh\n[ \"$1\" = --version ] && exec "+tinePath+" --version\n[ \"$2\" = --check ] && exit\nexit 3\n")
	write(t, m.dir, "text", "")
	for name, want := range map[string]string{
		"nowhere":   "no such file or directory",
		".":         "it is not a file",
		"text":      "it is not executable",
		"exits":     "it does not tell its version: no such library",
		"sleeps":    "it does not tell its version: no end within 2s",
		"other":     `it is not a tine: asked for its version it says "other version 3"`,
		"truncated": "it does not tell its version: exec format error",
		"picky":     `it does not take the config: tine.yaml:3: there is no key "apps"`,
		"begins":    "exit status 3",
	} {
		_, stderr := m.tell(1, "upgrade", "--binary", name)
		has(t, stderr, "tine: cannot upgrade to "+filepath.Join(m.dir, name)+": ", want)
		if strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: more than a line: %q", name, stderr)
		}
	}
	now := m.goesOn(st, processes)
	if now.PID != st.PID {
		t.Errorf("master %d is in charge, %d was", now.PID, st.PID)
	}
	l.lossless(t)
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestStopInAnUpgrade: to a program that hangs, when it is tried and when it should take over. A stop takes no longer for
// it, and leaves nothing of it behind.
func TestStopInAnUpgrade(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"Tried":  "echo $$ > started\nexec sleep 60\n",
		"Begins": "[ \"$1\" = --version ] && exec " + tinePath + " --version\n[ \"$2\" = --check ] && exit\necho $$ > started\nexec sleep 60\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoCalm, kept)
			write(t, m.dir, "hangs", "#!/bin/sh\n"+script)
			if err := os.Chmod(filepath.Join(m.dir, "hangs"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd, _, stderr := m.command("upgrade", "--binary", "hangs")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually.True(t, "it hangs", func() bool {
				text, _ := os.ReadFile(filepath.Join(m.dir, "started"))
				return strings.HasSuffix(string(text), "\n")
			})
			m.signal(syscall.SIGTERM)
			m.ended(0)
			if err := cmd.Wait(); err == nil {
				t.Error("it has ended well")
			}
			t.Logf("the upgrade says: %s", stderr)
			m.allGone()
		})
	}
}

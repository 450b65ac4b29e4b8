//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control"
)

// tell runs a command of tine for this master, and returns what it prints. It must end with the status.
func (m *tine) tell(status int, args ...string) (out, stderr string) {
	m.t.Helper()
	cmd, stdout, errs := m.command(args...)
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != status {
		m.t.Fatalf("tine %s: exit status %d, want %d (%v)\n%s%s", strings.Join(args, " "), got, status, err, stdout, errs)
	}
	return stdout.String(), errs.String()
}

// command is one of tine, in this master's folder.
func (m *tine) command(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command(tinePath, args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "TINE_CONTROL="+socketIn(m.dir))
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// workerPIDs are those of all apps, in their order.
func workerPIDs(st control.Status) (pids []int) {
	for _, a := range st.Apps {
		for _, w := range a.Workers {
			pids = append(pids, w.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// filesOf counts the descriptors of a process.
func filesOf(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestUpgradeTenTimes: under load, with a keeper and without: no request fails, no worker is another, nothing piles up.
func TestUpgradeTenTimes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"on", "off"} {
		t.Run("Keeper"+mode, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoCalm, withEnv("TINE_KEEPER="+mode))
			st := m.mustStatus()
			before := workerPIDs(st)
			l := m.load(4)
			files, took := 0, []time.Duration{}
			for i := range 10 {
				began := time.Now()
				out, _ := m.tell(0, "upgrade")
				took = append(took, time.Since(began))
				now := m.mustStatus()
				has(t, out, fmt.Sprintf("pid %d, to ", st.PID), fmt.Sprintf("pid %d, in ", now.PID), "2 workers untouched\n")
				if got := workerPIDs(now); !slices.Equal(got, before) {
					t.Fatalf("workers %v after upgrade %d, %v before", got, i+1, before)
				}
				eventually(t, "the old master has gone", func() bool { return gone(st.PID) })
				st = now
				if i == 0 {
					files = filesOf(t, st.PID)
				}
			}
			l.lossless(t)
			slices.Sort(took)
			t.Logf("keeper %s: upgrades took %s to %s, half of them %s at most", mode, took[0], took[9], took[5])
			const atMoment = 4 // such as a connection of the test's own
			if now := filesOf(t, st.PID); now > files+atMoment {
				t.Errorf("%d descriptors are open, %d were after the first upgrade: %v", now, files, linksOf(st.PID))
			}
			if n := zombiesOf(st.PID) + zombiesOf(m.pid); n > 0 {
				t.Errorf("%d zombies", n)
			}
			mark := m.mark()
			syscall.Kill(st.PID, syscall.SIGUSR2)
			m.awaitFrom(mark, is("rollout done"))
			for _, pid := range workerPIDs(m.mustStatus()) {
				if slices.Contains(before, pid) {
					t.Errorf("worker %d has survived a rollout", pid)
				}
			}
			m.tell(0, "stop")
			if mode == "on" {
				m.ended(0)
			}
			if left := m.processes(); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// linksOf are what the descriptors of a process lead to.
func linksOf(pid int) (links []string) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range all {
		link, _ := os.Readlink(path)
		links = append(links, filepath.Base(path)+" "+link)
	}
	return links
}

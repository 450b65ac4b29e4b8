//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
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
	cmd.Env = append(os.Environ(), "TINE_CONTROL="+socketIn(m.dir), worldOf(m.dir))
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// workerPIDs are those of all apps, in their order.
func workerPIDs(st api.Status) (pids []int) {
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
			l := m.steadily(4)
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
				eventually.True(t, "the old master has gone", func() bool { return gone(st.PID) })
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

// linksOf are the files that the descriptors of a process lead to.
func linksOf(pid int) (links []string) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range all {
		link, _ := os.Readlink(path)
		links = append(links, filepath.Base(path)+" "+link)
	}
	return links
}

// TestUpgradesAtOnce: the second is refused in a line, and the first is as it would be alone.
func TestUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st := m.mustStatus()
	gate := fifo(t, m.dir, "gate") // where the preflight waits
	write(t, m.dir, "slow", "#!/bin/sh\n[ \"$1\" = --version ] && read x < "+gate+"\nexec "+tinePath+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(m.dir, "slow"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, out, stderr := m.command("upgrade", "--binary", "slow")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(gate, os.O_WRONLY, 0) // returns when the first is there
	if err != nil {
		t.Fatal(err)
	}
	_, text := m.tell(1, "upgrade")
	if text != "tine: an upgrade is under way already\n" {
		t.Errorf("the second says %q", text)
	}
	open.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	has(t, out.String(), "2 workers untouched\n")
	now := m.mustStatus()
	if now.PID == st.PID || !slices.Equal(workerPIDs(now), workerPIDs(st)) {
		t.Errorf("master %d has %v, %d had %v", now.PID, workerPIDs(now), st.PID, workerPIDs(st))
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestUpgradeRefusesNobody: probes, scrapes and questions to the control socket during ten upgrades: each is answered, and
// well.
func TestUpgradeRefusesNobody(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addresses := map[string]string{}
	for _, what := range []string{"health", "metrics", "dashboard"} {
		addresses[what] = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	}
	write(t, dir, "tine.yaml", fmt.Sprintf("health: %s\nmetrics: %s\ndashboard: %s\n", addresses["health"], addresses["metrics"], addresses["dashboard"])+twoCalm)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, kept)
	m.await(is("all workers are ready"))
	stop := make(chan struct{})
	var asking sync.WaitGroup
	var mu sync.Mutex
	asked, failed := map[string]int{}, map[string]int{}
	ask := func(what string, once func() error) {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := once()
				mu.Lock()
				asked[what]++
				if err != nil {
					failed[what+": "+err.Error()]++
				}
				mu.Unlock()
			}
		})
	}
	alive := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer alive.CloseIdleConnections()
	for what, url := range map[string]string{
		"healthz": "http://" + addresses["health"] + "/healthz", "readyz": "http://" + addresses["health"] + "/readyz",
		"metrics": "http://" + addresses["metrics"] + "/metrics", "page": "http://" + addresses["dashboard"] + "/",
	} {
		ask(what, func() error { _, err := fetch(fresh, url); return err })
		ask(what+", kept alive", func() error { _, err := fetch(alive, url); return err })
	}
	ask("status", func() error { _, err := m.status(); return err })
	for range 10 {
		m.tell(0, "upgrade")
	}
	close(stop)
	asking.Wait()
	t.Log(asked)
	if len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestUpgradeBySignal: to the keeper, as every signal; a broken draft of the config does not stop it, and is logged.
func TestUpgradeBySignal(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept, withEnv("TINE_UPGRADE_SIGNAL=RTMIN+1"))
	st := m.mustStatus()
	for range 2 {
		mark := m.mark()
		m.signal(syscall.Signal(35))
		m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "upgraded: this master is in charge") })
		now := m.mustStatus()
		if now.PID == st.PID || !slices.Equal(workerPIDs(now), workerPIDs(st)) {
			t.Fatalf("master %d has %v, %d had %v", now.PID, workerPIDs(now), st.PID, workerPIDs(st))
		}
		st = now
	}
	write(t, m.dir, "tine.yaml", "apps: {\n")
	mark := m.mark()
	m.signal(syscall.Signal(35))
	e := m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "configuration not applied") })
	has(t, e.Message, "tine.yaml:1")
	now := m.mustStatus()
	if now.PID == st.PID || !slices.Equal(workerPIDs(now), workerPIDs(st)) {
		t.Errorf("master %d has %v, %d had %v", now.PID, workerPIDs(now), st.PID, workerPIDs(st))
	}
	has(t, now.Unapplied, "the configuration on disk cannot be applied, what ran runs on: ", "tine.yaml:1")
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestUpgradeOverTheAPI: with a body, with a wrong one and with none.
func TestUpgradeOverTheAPI(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	st := m.mustStatus()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socketIn(m.dir))
		}}}
	post := func(body string) (int, string) {
		r, err := client.Post("http://tine/v1/upgrade", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	for body, want := range map[string]struct {
		status int
		words  string
	}{
		`{"binary": "tine"}`:          {http.StatusUnprocessableEntity, `an absolute path is needed`},
		`{"binary": "/nowhere/tine"}`: {http.StatusUnprocessableEntity, `cannot upgrade to /nowhere/tine: no such file or directory`},
		`{"path": "/bin/true"}`:       {http.StatusBadRequest, `there is no field`},
	} {
		status, text := post(body)
		if status != want.status || !strings.Contains(text, want.words) {
			t.Errorf("%s: %d %s; want %d %s", body, status, text, want.status, want.words)
		}
	}
	for _, body := range []string{"", `{"binary": "` + tinePath + `", "reason": "a test"}`} {
		status, text := post(body)
		if status != http.StatusOK || !strings.Contains(text, `"ok":true`) {
			t.Fatalf("%q: %d %s", body, status, text)
		}
		now := m.mustStatus()
		if now.PID == st.PID || !slices.Equal(workerPIDs(now), workerPIDs(st)) {
			t.Errorf("master %d has %v, %d had %v", now.PID, workerPIDs(now), st.PID, workerPIDs(st))
		}
		st = now
	}
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// TestUpgradeInARollout: the reload is gone on with by the new master, and the command that waits for it follows.
func TestUpgradeInARollout(t *testing.T) {
	t.Parallel()
	m, gate := startGated(t)
	before := m.mustStatus()
	l := m.steadily(4)
	mark := m.mark()
	reload, reloaded, reloadErr := m.command("reload")
	if err := reload.Start(); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, is("rollout begin"))
	eventually.True(t, "the new worker is there", func() bool { return len(m.processes()) >= 5 })
	upgrade, upgraded, upgradeErr := m.command("upgrade")
	if err := upgrade.Start(); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, is("upgrading"))
	openGate(t, gate)
	if err := upgrade.Wait(); err != nil {
		t.Errorf("upgrade: %v\n%s%s", err, upgraded, upgradeErr)
	}
	if err := reload.Wait(); err != nil {
		t.Errorf("reload: %v\n%s%s", err, reloaded, reloadErr)
	}
	has(t, reloaded.String(), "web reloaded\n")
	now := m.mustStatus()
	if now.PID == before.PID || now.Apps[0].Ready != 2 || now.Apps[0].Generation <= before.Apps[0].Generation {
		t.Errorf("master %d, %+v; before %d", now.PID, now.Apps[0], before.PID)
	}
	for _, pid := range workerPIDs(now) {
		if slices.Contains(workerPIDs(before), pid) {
			t.Errorf("worker %d has survived the rollout", pid)
		}
	}
	l.lossless(t)
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

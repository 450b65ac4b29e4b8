package master

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/listen"
)

// askInner asks the worker behind an inner socket for its PID, on a connection of its own.
func askInner(path, query string) (pid int, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	r, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://web/" + query)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// innerOf is the prefix of the inner sockets of app web of a master that has the world of this test.
func innerOf(t *testing.T) string {
	t.Helper()
	prefix, _, err := control.InnerFolder("test", "web", listen.FitsInner)
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

func mustAskInner(t *testing.T, prefix string, slot int) int {
	t.Helper()
	pid, err := askInner(listen.InnerPath(prefix, slot), "")
	if err != nil {
		t.Fatalf("slot %d: %v", slot, err)
	}
	return pid
}

// asking are requests to an inner socket that are under way.
type asking struct{ answers chan error }

// askAll sends n requests, which are under way when it returns: each has connected.
func askAll(t *testing.T, path string, n int) *asking {
	t.Helper()
	a := &asking{make(chan error, n)}
	for range n {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer c.Close()
			b, err := io.ReadAll(c)
			if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200") {
				err = fmt.Errorf("answered %q", b)
			}
			a.answers <- err
		}()
	}
	return a
}

// answered waits for all answers.
func (a *asking) answered(t *testing.T) {
	t.Helper()
	for range cap(a.answers) {
		if err := <-a.answers; err != nil {
			t.Errorf("a request that waited at an inner socket: %v", err)
		}
	}
}

// killStopped kills a process that takes no request first.
func killStopped(t *testing.T, pid int, while func()) {
	t.Helper()
	freeze(t, pid)
	eventually.True(t, "the process to stand still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
	while()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func innerFiles(t *testing.T, prefix string) (all []string) {
	t.Helper()
	found, err := filepath.Glob(prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		all = append(all, strings.TrimPrefix(path, prefix))
	}
	slices.Sort(all)
	return all
}

// The worker of each slot is reached by the slot's inner socket, whether the app has addresses or not. What waits there when the worker is
// killed is answered by the next one. The files come and go with the slots, and a rollout loses nothing.
func TestInnerSockets(t *testing.T) {
	for _, addresses := range [][]string{{"127.0.0.1:0"}, nil} {
		t.Run(fmt.Sprintf("%d addresses", len(addresses)), func(t *testing.T) {
			t.Setenv("TINE_RUNTIME_DIR", t.TempDir())
			m := startMaster(t, func(c *config.Config) {
				c.Apps[0].Inner, c.Apps[0].Listen = true, addresses
			})
			prefix := innerOf(t)
			first, second := mustAskInner(t, prefix, 0), mustAskInner(t, prefix, 1)
			if all := pids(m.app("web")); first == second || !slices.Contains(all, first) || !slices.Contains(all, second) {
				t.Errorf("answered by %d and %d, the workers are %v", first, second, all)
			}
			snap, err := m.s.Snapshot(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range snap.Apps[0].Workers {
				if !w.Inner || snap.Apps[0].Inner != prefix {
					t.Errorf("the picture has %q, and of a worker %t", snap.Apps[0].Inner, w.Inner)
				}
			}
			var waiting *asking
			killStopped(t, first, func() { waiting = askAll(t, listen.InnerPath(prefix, 0), 20) })
			waiting.answered(t)
			if next := mustAskInner(t, prefix, 0); next == first {
				t.Error("the killed worker answers")
			}

			var load sync.WaitGroup
			stop := make(chan struct{})
			for slot := range 2 {
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := askInner(listen.InnerPath(prefix, slot), ""); err != nil {
							t.Errorf("in a rollout: %v", err)
							return
						}
					}
				})
			}
			m.must(api.Order{Verb: api.VerbReload})
			close(stop)
			load.Wait()

			if err := os.RemoveAll(filepath.Dir(prefix)); err != nil {
				t.Fatal(err)
			}
			eventually.True(t, "inner sockets that were removed to be there again", func() bool {
				_, err0 := askInner(listen.InnerPath(prefix, 0), "")
				_, err1 := askInner(listen.InnerPath(prefix, 1), "")
				return err0 == nil && err1 == nil
			})
			m.must(api.Order{Verb: api.VerbScale, App: "web", N: 4})
			if got := innerFiles(t, prefix); len(got) != 4 || mustAskInner(t, prefix, 3) == 0 {
				t.Errorf("with four slots the files are %v", got)
			}
			m.must(api.Order{Verb: api.VerbScale, App: "web", N: 1})
			eventually.True(t, "the files of slots that are gone to go", func() bool { return len(innerFiles(t, prefix)) == 1 })
			m.must(api.Order{Verb: api.VerbStop, App: "web"})
			if _, err := os.Stat(filepath.Dir(prefix)); !os.IsNotExist(err) {
				t.Errorf("the folder of the inner sockets of an app that is stopped: %v, with %v", err, innerFiles(t, prefix))
			}
			m.must(api.Order{Verb: api.VerbStart, App: "web"})
			mustAskInner(t, prefix, 0)
		})
	}
}

// An app that becomes the target of a gateway gets inner sockets under the same workers, and loses them when it is none any more.
func TestInnerSocketsByConfig(t *testing.T) {
	t.Setenv("TINE_RUNTIME_DIR", t.TempDir())
	m := startMaster(t, nil)
	before, prefix := pids(m.app("web")), innerOf(t)
	apply := func(inner bool) {
		t.Helper()
		c := *m.s.config
		c.Apps = slices.Clone(c.Apps)
		c.Apps[0].Inner = inner
		if err := m.s.Apply(&c); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "all workers to serve as the config says", func() bool {
			snap, err := m.s.Snapshot(bounded(t))
			return err == nil && (snap.Apps[0].Inner != "") == inner && snap.Apps[0].Workers[0].Inner == inner && snap.Apps[0].Workers[1].Inner == inner
		})
	}
	apply(true)
	mustAskInner(t, prefix, 0)
	mustAskInner(t, prefix, 1)
	apply(false)
	if got := innerFiles(t, prefix); len(got) != 0 {
		t.Errorf("files are left: %v", got)
	}
	apply(true)
	mustAskInner(t, prefix, 1)
	if now := pids(m.app("web")); !slices.Equal(slices.Sorted(slices.Values(now)), slices.Sorted(slices.Values(before))) {
		t.Errorf("the workers were %v and are %v", before, now)
	}
}

const innerConfig = `
name: test
log: {format: json, level: debug}
apps:
  web:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: HOW, GOMAXPROCS: "1"}
    workers: 2
    drain_delay: 20ms
  gate:
    gateway: {to: web}
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: HOW, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 2
    drain_delay: 20ms
`

// The next master goes on with the inner sockets, after a crash and after an upgrade: the workers are the same, and what waits is answered
// also where the worker is killed while there is no master.
func TestInnerSocketsOutliveTheMaster(t *testing.T) {
	t.Setenv("TINE_RUNTIME_DIR", t.TempDir())
	m := startKept(t, innerConfig)
	prefix := innerOf(t)
	old := m.await("ready", allAppsReady)
	inode := func() (all []uint64) {
		for slot := range 2 {
			info, err := os.Lstat(listen.InnerPath(prefix, slot))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, info.Sys().(*syscall.Stat_t).Ino)
		}
		return all
	}
	files, first, second := inode(), mustAskInner(t, prefix, 0), mustAskInner(t, prefix, 1)

	var waiting *asking
	var now api.Status
	killStopped(t, first, func() {
		waiting = askAll(t, listen.InnerPath(prefix, 0), 10)
		now, _ = m.crash(old)
	})
	waiting.answered(t)
	if pid := mustAskInner(t, prefix, 1); pid != second {
		t.Errorf("the worker of slot 1 was %d and is %d", second, pid)
	}
	now = m.await("all ready again", func(st api.Status) bool { return st.PID == now.PID && allAppsReady(st) })

	first = mustAskInner(t, prefix, 0)
	m.beginUpgrade(now)
	upgraded := m.await("the next master", func(st api.Status) bool { return st.PID != now.PID && allAppsReady(st) })
	if a, b := mustAskInner(t, prefix, 0), mustAskInner(t, prefix, 1); a != first || b != second {
		t.Errorf("after the upgrade %d and %d answer, it was %d and %d", a, b, first, second)
	}
	if got := inode(); !slices.Equal(got, files) {
		t.Errorf("the files are others: %v and %v", files, got)
	}
	killStopped(t, second, func() { waiting = askAll(t, listen.InnerPath(prefix, 1), 10) })
	waiting.answered(t)
	if upgraded.PID == old.PID {
		t.Error("there was no upgrade")
	}
}

// The tickets are the next master's too: what lives goes on with them, what a gateway's worker held that was killed while there was no
// master is given back, and workers that are new get the same tickets.
func TestTicketsOutliveTheMaster(t *testing.T) {
	t.Setenv("TINE_RUNTIME_DIR", t.TempDir())
	m := startKept(t, innerConfig)
	old := m.await("ready", allAppsReady)
	gate := func(st api.Status) api.App {
		return st.Apps[slices.IndexFunc(st.Apps, func(a api.App) bool { return a.Name == "gate" })]
	}
	address := addressOf(gate(old))
	// of has a worker of the gateway asked, which may be any: new connections are steered.
	of := func(pid int, query string) (taken int) {
		t.Helper()
		eventually.True(t, "that very worker to be asked", func() bool {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return false
			}
			defer conn.Close()
			client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
			defer client.CloseIdleConnections()
			get := func(query string) int {
				r, err := client.Get("http://gate/" + query)
				if err != nil {
					return 0
				}
				defer r.Body.Close()
				b, _ := io.ReadAll(r.Body)
				n, _ := strconv.Atoi(string(b))
				return n
			}
			if get("") != pid {
				return false
			}
			taken = get(query)
			return true
		})
		return taken
	}
	first, second := gate(old).Workers[0].PID, gate(old).Workers[1].PID
	of(first, "?tickets=web&reserve")
	if n := of(second, "?tickets=web&reserve"); n != 2 {
		t.Fatalf("of two reserved rows %d are taken", n)
	}
	freeze(t, old.PID)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	now, _ := m.crash(old)
	now = m.await("all ready again", func(st api.Status) bool { return st.PID == now.PID && allAppsReady(st) })
	if n := of(second, "?tickets=web"); n != 1 {
		t.Errorf("after a crash %d rows are taken, want that of the worker that lives", n)
	}
	again := slices.IndexFunc(gate(now).Workers, func(w api.Worker) bool { return w.PID != second })
	if n := of(gate(now).Workers[again].PID, "?tickets=web&reserve"); n != 2 {
		t.Errorf("a new worker sees %d rows", n)
	}
	m.beginUpgrade(now)
	now = m.await("the next master", func(st api.Status) bool { return st.PID != now.PID && allAppsReady(st) })
	if n := of(second, "?tickets=web"); n != 2 {
		t.Errorf("after an upgrade %d rows are taken", n)
	}
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the rows of a killed worker to be free", func() bool { return of(gate(now).Workers[again].PID, "?tickets=web") == 1 })
}

// The workers of a gateway have the tickets of its targets, and of no other app. What one held is given back when it is killed, and its
// successor has the same tickets; so it is after a crash of the master. An app that is a target no more has no tickets.
func TestTicketsOfAGateway(t *testing.T) {
	t.Setenv("TINE_RUNTIME_DIR", t.TempDir())
	m := startMaster(t, func(c *config.Config) {
		web := c.Apps[0]
		web.Inner = true
		gate := testApp("gate", web.Env["TEST_BEHAVIOUR"], 2)
		gate.Inner, gate.Gateway = true, &config.Gateway{To: []string{"web"}}
		other := testApp("other", web.Env["TEST_BEHAVIOUR"], 1)
		c.Apps = []config.App{web, gate, other}
	})
	prefix, _, err := control.InnerFolder("test", "gate", listen.FitsInner)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(slot int, query string) int {
		t.Helper()
		n, err := askInner(listen.InnerPath(prefix, slot), query)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for slot := range 2 {
		if n := ask(slot, "?tickets=web"); n != 0 {
			t.Fatalf("slot %d of the gateway sees %d tickets", slot, n)
		}
		if n := ask(slot, "?tickets=other"); n != -1 {
			t.Fatalf("slot %d of the gateway has tickets of an app that is no target: %d", slot, n)
		}
	}
	ask(0, "?tickets=web&reserve")
	ask(0, "?tickets=web&reserve")
	if n := ask(1, "?tickets=web&reserve"); n != 3 {
		t.Errorf("of three reserved rows %d are taken", n)
	}
	killed := ask(0, "")
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the rows of the killed worker to be free", func() bool { return ask(1, "?tickets=web") == 1 })
	eventually.True(t, "the successor to have the tickets", func() bool { return ask(0, "?tickets=web") == 1 })
	m.must(api.Order{Verb: api.VerbStop, App: "web"})
	eventually.True(t, "the tickets of an app that is stopped to go", func() bool { return ask(0, "?tickets=web") == -1 })
	m.must(api.Order{Verb: api.VerbStart, App: "web"})
	eventually.True(t, "the workers to have the tickets of the next run", func() bool {
		return ask(0, "?tickets=web") == 0 && ask(1, "?tickets=web") == 0
	})
	ask(0, "?tickets=web&reserve")
	if n := ask(1, "?tickets=web"); n != 1 {
		t.Errorf("one sees a row that the other has reserved as %d", n)
	}
	c := *m.s.config
	c.Apps = slices.Clone(c.Apps)
	c.Apps[0].Inner = false
	c.Apps[1].Gateway = &config.Gateway{To: []string{"other"}}
	c.Apps[2].Inner = true
	if err := m.s.Apply(&c); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the tickets to be those of the new target", func() bool {
		return ask(0, "?tickets=web") == -1 && ask(1, "?tickets=other") == 0
	})
}

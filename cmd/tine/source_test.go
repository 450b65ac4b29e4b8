//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"github.com/tinehq/tine/supervisor/master"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
)

// embedded is a master inside this process, for what only a program that embeds it
// can see: Status, and sources in Go.
type embedded struct {
	*master.Supervisor
	*tine // its folder and log; there is no process
	ended chan error
}

func startEmbedded(t *testing.T, c *supervisor.Config, opts ...master.Option) *embedded {
	t.Helper()
	dir := folder(t)
	m := &tine{t: t, dir: dir, news: make(chan struct{}), exited: make(chan struct{})}
	for i := range c.Apps {
		a := &c.Apps[i]
		a.DrainDelay, a.KillAfter = 50*time.Millisecond, 500*time.Millisecond
		if a.Env == nil {
			a.Env = map[string]string{}
		}
		a.Env["MEMBER_CONTROL"] = dir
	}
	c.Log = supervisor.Log{Format: "json", Level: "debug"}
	r, w := io.Pipe()
	s, err := master.New(c, append([]master.Option{master.WithOutput(&locked{mu: &m.mu, b: &m.stdout}, w)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	e := &embedded{Supervisor: s, tine: m, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() { m.read(r) })
	go func() {
		e.ended <- s.Run(ctx)
		w.Close()
		close(m.exited)
	}()
	t.Cleanup(func() {
		cancel()
		eventually.Receive(t, "Run returns", m.exited)
		reading.Wait()
		if t.Failed() {
			t.Log(m.stderr())
		}
		m.nothingLeft()
	})
	select {
	case <-s.Ready():
	case err := <-e.ended:
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	m.await(is("all workers are ready"))
	return e
}

func (e *embedded) value(t *testing.T, key string) cache.ValueStatus {
	t.Helper()
	st, err := e.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range st.Cache {
		if v.Key == key {
			return v
		}
	}
	return cache.ValueStatus{}
}

// TestBadSources: one source each hangs, fails, prints 100 MB or prints garbage,
// after a first good value. The last good value stays in the workers and its age
// grows in Status, with the reason; a good source beside them keeps its pace, and no
// worker is touched.
func TestBadSources(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"hangs":   "sleep 600",
		"fails":   "echo the database is away >&2; exit 3",
		"large":   "head -c 104857600 /dev/zero",
		"missing": "/no/such/program",
	}
	c := config.Single("web", []string{"127.0.0.1:0"}, 2, []string{memberPath})
	dir := folder(t)
	for key, bad := range scripts {
		first, timeout := dir+"/"+key, 200*time.Millisecond
		if key == "large" {
			timeout = 2 * patience // it shall fail by its size
		}
		c.Cache = append(c.Cache, supervisor.CacheValue{
			Key:   key,
			Exec:  []string{"sh", "-c", fmt.Sprintf("if mkdir %s 2>/dev/null; then echo good; else %s; fi", first, bad)},
			Every: 100 * time.Millisecond, Timeout: timeout,
		})
	}
	var n int
	c.Cache = append(c.Cache, supervisor.CacheValue{
		Key: "healthy", Every: 20 * time.Millisecond,
		Func: func(context.Context) (any, error) { n++; return n, nil },
	})
	stuck := make(chan struct{})
	defer close(stuck)
	first := true
	c.Cache = append(c.Cache, supervisor.CacheValue{ // does not even look at its context
		Key: "stubborn", Every: 50 * time.Millisecond, Timeout: 100 * time.Millisecond,
		Func: func(context.Context) (any, error) {
			if first {
				first = false
				return "good", nil
			}
			<-stuck
			return nil, errors.New("too late")
		},
	})
	// Every fetch runs at the same time on a machine with few CPUs, so give the first
	// ones the time that they need.
	e := startEmbedded(t, c)
	workers := e.workers("")
	pid := workers[0]

	for key, reason := range map[string]string{
		"hangs": "no answer within 200ms", "fails": "the database is away", "large": "64 MiB", "missing": "not found", "stubborn": "hangs",
	} {
		eventually.True(t, "source "+key+" fails, with its reason and the age of the last value", func() bool {
			v := e.value(t, key)
			return v.Error != "" && strings.Contains(v.Error, reason) && v.CheckedAge > 300*time.Millisecond
		})
		if v, err := e.ask(pid, "/value?key="+key); err != nil || !strings.HasSuffix(v, " good") {
			t.Errorf("the last good value of %s did not stay: %q %v", key, v, err)
		}
	}
	before := e.value(t, "healthy")
	eventually.True(t, "a good source goes on", func() bool { return e.value(t, "healthy").Epoch >= before.Epoch+10 })
	eventually.True(t, "its newest value reaches the workers", func() bool {
		v, err := e.ask(pid, "/value?key=healthy")
		return err == nil && !strings.HasPrefix(v, fmt.Sprint(before.Epoch, " "))
	})
	if now := e.workers(""); fmt.Sprint(now) != fmt.Sprint(workers) {
		t.Errorf("workers %v, want the untouched %v", now, workers)
	}
}

// TestSourceOfGarbage: bytes that are neither text nor JSON are a value; they reach the
// workers as they are.
func TestSourceOfGarbage(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
cache:
  garbage: {exec: 'printf "\377\000\376{"', every: 50ms}
`)
	pid := m.workers("")[0]
	eventually.True(t, "the bytes arrive", func() bool {
		v, err := m.ask(pid, "/value?key=garbage")
		return err == nil && strings.HasSuffix(v, " \xff\x00\xfe{")
	})
	m.stop()
}

// TestSourceBadFromTheStart: a source that never worked holds no worker up.
func TestSourceBadFromTheStart(t *testing.T) {
	t.Parallel()
	m := startConfig(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
cache:
  hangs: {exec: 'sleep 600', every: 50ms, timeout: 60s}
  works: {exec: 'echo yes', every: 1h}
`)
	began := time.Now()
	m.await(is("all workers are ready"))
	if took := time.Since(began); took > 30*time.Second { // half of the timeout of what hangs
		t.Errorf("the start took %s", took)
	}
	pid := m.workers("")[0]
	if v := m.mustAsk(pid, "/value?key=works"); !strings.HasSuffix(v, " yes") {
		t.Errorf("the good value is %q", v)
	}
	m.stop() // with what hangs killed too
}

// TestZeroIsAValue: 0, false and "" are broadcast as anything else.
func TestZeroIsAValue(t *testing.T) {
	t.Parallel()
	e := startEmbedded(t, config.Single("web", []string{"127.0.0.1:0"}, 2, []string{memberPath}))
	for key, c := range map[string]struct {
		value any
		text  string
	}{"zero": {0, "0"}, "false": {false, "false"}, "empty": {"", ""}} {
		if _, err := e.Set(key, "before"); err != nil {
			t.Fatal(err)
		}
		epoch, err := e.Set(key, c.value)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range e.workers("") {
			eventually.True(t, key+" arrives", func() bool {
				v, err := e.ask(pid, "/value?key="+key)
				return err == nil && v == fmt.Sprintf("%d %s", epoch, c.text)
			})
		}
	}
	// A worker that comes later has them too, before it is ready.
	mark := e.mark()
	syscall.Kill(e.workers("")[0], syscall.SIGKILL)
	again := e.awaitFrom(mark, is("ready"))
	if v := e.mustAsk(again.PID, "/value?key=zero"); !strings.HasSuffix(v, " 0") {
		t.Errorf("a later worker has %q", v)
	}
	if v := e.mustAsk(again.PID, "/value?key=empty"); !strings.HasSuffix(v, " ") {
		t.Errorf("a later worker has %q", v)
	}
}

// TestWorkerThatDoesNotRead freezes one worker during 10,000 updates of 20 keys, most
// small and some of 100 KB. The others have each within their normal time, the
// master's memory does not grow with the number of updates, and when the frozen one
// goes on it gets the newest of each key.
func TestWorkerThatDoesNotRead(t *testing.T) {
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 3
    $FAST
`)
	w := m.workers("")
	frozen, publisher, other := w[0], w[1], w[2]
	publish := func(from, to, size int) (epoch string) {
		t.Helper()
		return m.mustAsk(publisher, fmt.Sprintf("/publish?from=%d&to=%d&size=%d", from, to, size))
	}
	// Before the measurement: everything allocated once, all keys known to all.
	publish(0, 2000, 1000)
	publish(2000, 2100, 100_000)
	if err := syscall.Kill(frozen, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(frozen, syscall.SIGCONT) })
	publish(2100, 2120, 100_000)
	before := residentMB(t, m.master())
	slowest := time.Duration(0)
	const step = 500
	next := 2120
	for next < 12_120 {
		if next%(4*step) == 120 {
			publish(next, next+20, 100_000)
			next += 20
		}
		end := min(next+step, 12_120)
		publish(next, end-1, 1000)
		epoch := publish(end-1, end, 1000)
		published := time.Now()
		key := fmt.Sprintf("k%d", (end-1)%20)
		eventually.True(t, "another worker has the newest value", func() bool {
			v, err := m.ask(other, "/value?key="+key)
			return err == nil && strings.HasPrefix(v, epoch+" ")
		})
		slowest = max(slowest, time.Since(published))
		next = end
	}
	if slowest > 10*time.Second { // a busy machine takes its time; a frozen worker would take all of it
		t.Errorf("with one worker frozen another waited %s for a value", slowest)
	}
	if after := residentMB(t, m.master()); after > before+40 {
		t.Errorf("the master grew from %d to %d MB", before, after)
	} else {
		t.Logf("master: %d MB before, %d MB after 10,000 updates; slowest to another worker %s", before, after, slowest)
	}
	m.await(func(e event) bool {
		return strings.Contains(e.Message, "does not read its channel") && e.PID == frozen
	})

	if err := syscall.Kill(frozen, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for i := next - 20; i < next; i++ {
		eventually.True(t, "the worker that did not read has the newest of each key", func() bool {
			v, err := m.ask(frozen, fmt.Sprintf("/value?key=k%d", i%20))
			_, text, _ := strings.Cut(strings.TrimSpace(v), " ")
			return err == nil && text == fmt.Sprint(i)
		})
	}
	if now := m.workers(""); now[0] != frozen {
		t.Error("the frozen worker was replaced")
	}
	m.stop()
}

func residentMB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var kb int
		if n, _ := fmt.Sscanf(string(line), "VmRSS: %d kB", &kb); n == 1 {
			return kb >> 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// TestGreeting: each worker is told "Worker PID" exactly once, those that come later
// too.
func TestGreeting(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers)
	m.roll()
	mark := m.mark()
	syscall.Kill(m.workers("")[0], syscall.SIGKILL)
	m.awaitFrom(mark, is("ready"))
	m.signal(syscall.SIGTTIN)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 2 })
	for _, pid := range m.workers("") {
		want := fmt.Sprintf("greeting=Worker %d", pid)
		eventually.True(t, "the greeting arrives", func() bool {
			text, err := m.ask(pid, "/messages")
			return err == nil && strings.Contains(text, want)
		})
	}
	m.signal(syscall.SIGTTIN) // would greet all again if it did not count
	e := m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 3 })
	eventually.True(t, "the last greeting arrives", func() bool {
		text, err := m.ask(e.PID, "/messages")
		return err == nil && text == fmt.Sprintf("greeting=Worker %d", e.PID)
	})
	for _, pid := range m.workers("") {
		if text := m.mustAsk(pid, "/messages"); text != fmt.Sprintf("greeting=Worker %d", pid) {
			t.Errorf("worker %d was told %q", pid, text)
		}
	}
	m.stop()
}

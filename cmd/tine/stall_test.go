//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestBlockedHandlersGetNoMore: while one worker of four does not answer, the others take
// new connections. Its own are answered when it goes on.
func TestBlockedHandlersGetNoMore(t *testing.T) {
	for _, kind := range steeringKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, steered(4, "steering: "+kind, "$FAST"))
			m.of(kind)
			victim := m.workers("")[3]
			m.mustAsk(victim, "/block")
			var waiting held
			var got []int
			// All at once, so that it is as good as the others at first: each then has five.
			eventually.True(t, "20 connections together pass it by", func() bool {
				_, silent := m.hold(20).ask(t, time.Second)
				waiting, got = append(waiting, silent...), append(got, len(silent))
				return len(silent) == 0
			})
			if kind == "ebpf" && len(waiting) > 12 {
				t.Errorf("of 20 each, it got %v connections", got)
			}
			m.mustAsk(victim, "/unblock")
			waiting.answers(t)
			m.answered(victim)
			m.stop()
		})
	}
}

// replaced waits until the worker of a slot has gone as it was queued, with its
// successor ready before.
func (m *tine) replaced(mark, slot, pid int) {
	m.t.Helper()
	m.awaitFrom(mark, is("recycle", pid))
	ready := m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == slot })
	gone := m.awaitFrom(mark, is("exited", pid))
	if gone.At.Before(ready.At) {
		m.t.Errorf("worker %d went before its successor was ready", pid)
	}
}

// dumped checks the goroutines of a worker, in the log and in the file that it names:
// both have these words.
func (m *tine) dumped(mark, pid int, dir string, words ...string) {
	m.t.Helper()
	e := m.awaitFrom(mark, is("goroutine dump", pid))
	b, err := os.ReadFile(e.File)
	if err != nil {
		m.t.Errorf("the dump is in no file: %v: %s", err, e.Raw)
	}
	if filepath.Dir(e.File) != dir {
		m.t.Errorf("the dump is in %s, want it in %s", e.File, dir)
	}
	for _, w := range words {
		for where, text := range map[string]string{"log": e.Dump, "file": string(b)} {
			if !strings.Contains(text, w) {
				m.t.Errorf("the dump in the %s does not show %q:\n%s", where, w, text)
			}
		}
	}
}

// TestRequestTimeout: a request that takes too long is told, with its worker and its
// age; so is what the worker does; it is replaced, and no other request is lost.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	m := startReady(t, steered(2, "request_timeout: 500ms", "dump_dir: "+dir+"/dumps", "drain_delay: 1s", "drain_timeout: 100ms", "kill_after: 500ms"))
	l := m.load(4)
	mark := m.mark()
	m.slow(t, 60_000)
	e := m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "slow request") })
	if e.PID != m.workersAt(mark)[e.Slot] || e.AgeMS < 500 || e.AgeMS > 5000 || e.Level != "warn" {
		t.Errorf("the slow request is not explained: %s", e.Raw)
	}
	m.dumped(mark, e.PID, dir+"/dumps", "time.Sleep", "(*member).routes")
	m.replaced(mark, e.Slot, e.PID)
	l.lossless(t)
	if n := len(m.since(mark, is("recycle"))); n != 1 {
		t.Errorf("%d workers were replaced, want the one", n)
	}
	m.stop()
}

// TestRequestTimeoutIsKept to a quarter of itself, also for one request that hangs alone,
// and by workers that were started before there was one.
func TestRequestTimeoutIsKept(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), freePort(t)
	config := func(more string) string {
		return strings.Replace(oneApp("web", port, more), "$CALM", "drain_delay: 20ms\n    drain_timeout: 100ms\n    kill_after: 100ms", 1)
	}
	write(t, dir, "tine.yaml", config(""))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	m.reloadTo(dir, config("request_timeout: 200ms"), "configuration applied")
	mark := m.mark()
	m.slow(t, 60_000)
	e := m.awaitFrom(mark, func(e event) bool { return strings.HasPrefix(e.Message, "slow request") })
	if e.AgeMS > 600 {
		t.Errorf("a request is found when it is %v ms old, limit 200 ms", e.AgeMS)
	}
	m.stop()
}

// workersAt are the workers that were ready at a mark.
func (m *tine) workersAt(mark int) map[int]int {
	pids := map[int]int{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events[:mark] {
		if e.Message == "ready" {
			pids[e.Slot] = e.PID
		}
	}
	return pids
}

// TestStallTimeout: a worker that is stopped is replaced after it, though it can say
// nothing; without it, it is left as it is.
func TestStallTimeout(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    stall_timeout: 300ms
    drain_delay: 50ms
    drain_timeout: 100ms
    kill_after: 100ms
  left:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    stall_timeout: off
    $FAST
`)
	left, victim := m.workers("left")[1], m.workers("web")[1]
	waits := dial(t, m.addresses("web")[0]) // perhaps in its hands
	mark := m.mark()
	syscall.Kill(left, syscall.SIGSTOP)
	syscall.Kill(victim, syscall.SIGSTOP)
	m.awaitFrom(mark, is("stalled", left))
	stalled := m.awaitFrom(mark, is("stalled", victim))
	e := m.awaitFrom(mark, is("recycle", victim))
	if waited := e.Time.Sub(stalled.Time); waited < 290*time.Millisecond || !strings.Contains(e.Reason, "stalled") {
		t.Errorf("replaced after %s: %s", waited, e.Raw)
	}
	m.replaced(mark, 1, victim)
	if e := m.awaitFrom(mark, is("no goroutine dump", victim)); e.Error == "" || !strings.Contains(e.Reason, "stopped") {
		t.Errorf("it is not said why there is no dump: %s", e.Raw)
	}
	for range 10 {
		if _, err := fetch(fresh, "http://"+m.addresses("web")[0]+"/"); err != nil {
			t.Error(err)
		}
	}
	waits.Close()
	if found := m.since(mark, func(e event) bool { return e.App == "left" && e.Message != "stalled" }); len(found) > 0 {
		t.Errorf("with stall_timeout off: %s", found[0].Raw)
	}
	syscall.Kill(left, syscall.SIGCONT)
	m.awaitFrom(mark, is("resumed", left))
	m.stop()
}

// TestDeafWorker: one that lives but accepts no more is noticed by its queue. It gets
// no more connections, its goroutines are told, it is replaced, and what waited in its
// queue is served by its successor.
func TestDeafWorker(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			m := startReady(t, steered(4, "steering: "+kind, `env: {MEMBER_DEAF: "1"}`, "stall_timeout: 500ms", "dump_dir: "+dir,
				"drain_delay: 50ms", "drain_timeout: 100ms", "kill_after: 500ms"))
			m.of(kind)
			victim := m.workers("")[1]
			if _, err := m.ask(victim, "/deaf"); err != nil {
				t.Fatal(err)
			}
			mark := m.mark()
			// Connections that stay open, until some are its own: the first is the one that
			// it waited for, the next waits for it.
			var all held
			stalled := func() bool { return len(m.since(mark, is("stalled", victim))) > 0 }
			eventually.True(t, "it is noticed", func() bool {
				if len(all) < 200 {
					all = append(all, m.hold(4)...)
				}
				return stalled()
			})
			if e := m.awaitFrom(mark, is("stalled", victim)); e.Slot != 1 || e.Reason == "" {
				t.Errorf("the stall is not explained: %s", e.Raw)
			}
			answers, silent := all.ask(t, patience)
			if len(silent) > 0 {
				t.Errorf("%d of %d connections were never served", len(silent), len(all))
			}
			m.dumped(mark, victim, dir, "deafListener")
			m.replaced(mark, 1, victim)
			successor := m.workers("")[1]
			if bySlot(answers)[1] == 0 || successor == victim {
				t.Errorf("served by %v; the successor is %d", bySlot(answers), successor)
			}
			m.answered(successor)
			m.stop()
		})
	}
}

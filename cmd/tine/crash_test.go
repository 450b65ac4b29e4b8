//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

const twoWorkers = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
`

var (
	twoCalm = strings.Replace(twoWorkers, "$FAST", "$CALM", 1)
	oneCalm = strings.Replace(oneWorker, "$FAST", "$CALM", 1)
)

const oneWorker = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
`

// TestKillReadyWorker: only the requests that the worker was answering are lost.
func TestKillReadyWorker(t *testing.T) { bothWays(t, testKillReadyWorker) }

func testKillReadyWorker(t *testing.T, way option) {
	m := startReady(t, twoCalm, way)
	victim := m.workers("")[0]
	mark := m.mark()
	syscall.Kill(victim, syscall.SIGKILL)
	e := m.awaitFrom(mark, is("exited", victim))
	if e.Signal != "killed" || e.State != "ready" || e.Level != "error" {
		t.Errorf("the exit is not told as a kill of a ready worker: %s", e.Raw)
	}
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 0 })
	l := m.load(4)
	eventually.True(t, "both workers answer", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.pids) == 2 })
	l.lossless(t)
	m.stop()
}

// TestKillLeavesTheQueue: with the only worker dead and its successor held at the
// start, connections are taken, wait, and are served: none is refused or reset.
func TestKillLeavesTheQueue(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "gate.env", "")
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_GATE: "$DIR/gate"}
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
`)
	gatePath := dir + "/gate" // missing at first: no gate
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	first := m.workers("")[0]
	fifo(t, dir, "gate")

	// One request is in flight in it: that one is lost.
	flying := dial(t, m.address())
	fmt.Fprintf(flying, "GET /slow?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := flying.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	mark := m.mark()
	syscall.Kill(first, syscall.SIGKILL)
	m.awaitFrom(mark, is("spawned"))
	if _, err := io.ReadAll(flying); err == nil || !isReset(err) {
		if n := len(m.since(mark, is("ready"))); n > 0 {
			t.Errorf("the successor is ready before its gate was open")
		}
	}

	const waiting = 50
	answers := make(chan error, waiting)
	dialled := make(chan struct{}, waiting)
	for range waiting {
		c := dial(t, m.address())
		dialled <- struct{}{}
		go func() {
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			b, err := io.ReadAll(c)
			if err == nil && !strings.Contains(string(b), "200 OK") {
				err = fmt.Errorf("answer %q", b)
			}
			answers <- err
		}()
	}
	if len(dialled) != waiting {
		t.Fatal("not all were connected")
	}
	// The successor dies too, while it is starting: the queue is still there.
	e := m.awaitFrom(mark, is("spawned"))
	mark = m.mark()
	syscall.Kill(e.PID, syscall.SIGKILL)
	if x := m.awaitFrom(mark, is("exited", e.PID)); x.State != "starting" {
		t.Errorf("killed while starting, told as %q", x.State)
	}
	m.awaitFrom(mark, is("spawned"))
	openGate(t, gatePath)
	for range waiting {
		if err := <-answers; err != nil {
			t.Errorf("a connection that was made while no worker was there: %v", err)
		}
	}
	m.stop()
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

// TestKillTwice: each of two workers, again and again; the load gets what was not
// in flight in them.
func TestKillTwice(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers)
	for range 2 {
		for slot := range 2 {
			mark := m.mark()
			pid := m.workers("")[slot]
			syscall.Kill(pid, syscall.SIGKILL)
			m.awaitFrom(mark, is("exited", pid))
			m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == slot })
		}
	}
	for range 20 {
		m.who()
	}
	m.stop()
}

// TestKillDrainingWorker: killed in a rollout while it finishes a request, it takes
// that one with it, and the rollout goes on.
func TestKillDrainingWorker(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneCalm)
	old := m.workers("")[0]
	c := dial(t, m.address())
	fmt.Fprintf(c, "GET /slow?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("draining", old))
	others := 0 // in a row, so that it is sure that the old one accepts no more
	eventually.True(t, "the old worker has handed over", func() bool {
		if others++; m.who().PID == old {
			others = 0
		}
		return others == 20
	})
	l := m.load(2)
	syscall.Kill(old, syscall.SIGKILL)
	if e := m.awaitFrom(mark, is("exited", old)); e.State != "draining" {
		t.Errorf("killed while draining, told as %q", e.State)
	}
	m.awaitFrom(mark, is("rollout done"))
	if n := len(m.since(mark, is("spawned"))); n != 1 {
		t.Errorf("%d workers were started, want 1: a draining worker has its successor", n)
	}
	l.lossless(t) // none of these was in it
	m.stop()
}

// TestKillStartingWorkerOfARollout is a failed start like any other: the rollout stops,
// the old workers stay, and the next SIGUSR2 begins anew.
func TestKillStartingWorkerOfARollout(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "tine.yaml", `
apps:
  web:
    command: [$MEMBER]
    env: {MEMBER_GATE: "$DIR/gate"}
    listen: ["127.0.0.1:0"]
    workers: 2
    $CALM
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	before := m.workers("")
	fifo(t, dir, "gate")
	l := m.load(4)
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	e := m.awaitFrom(mark, is("spawned"))
	syscall.Kill(e.PID, syscall.SIGKILL)
	m.awaitFrom(mark, is("rollout aborted"))
	if now := m.workers(""); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("workers %v, want the old ones %v", now, before)
	}
	openGate(t, dir+"/gate")
	m.roll()
	l.lossless(t)
	m.stop()
}

// TestStoppedWorker: SIGSTOP freezes one; the others serve, and a stop of the master
// ends in bounded time all the same.
func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    drain_delay: 50ms
    drain_timeout: 300ms
    kill_after: 300ms
`)
	frozen := m.workers("")[0]
	syscall.Kill(frozen, syscall.SIGSTOP)
	t.Cleanup(func() { syscall.Kill(frozen, syscall.SIGCONT) })
	// Connections that the kernel gave to the frozen one wait; the other's are served.
	quick := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	served := 0
	for range 20 {
		if _, err := fetch(quick, "http://"+m.address()+"/"); err == nil {
			served++
		}
	}
	if served == 0 {
		t.Error("no worker serves")
	}
	began := time.Now()
	m.signal(syscall.SIGTERM)
	m.ended(0)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	m.await(is("drain timeout", frozen))
	m.await(is("killing", frozen))
}

// TestFinishedWorker: one that exits 0 unasked has finished and is not replaced; when
// all have, so has tine.
func TestFinishedWorker(t *testing.T) { bothWays(t, testFinishedWorker) }

func testFinishedWorker(t *testing.T, way option) {
	m := startReady(t, twoWorkers, way)
	first, second := m.workers("")[0], m.workers("")[1]
	m.ask(first, "/exit?code=0") // it cannot answer any more
	m.await(is("finished", first))
	mark := m.mark()
	m.ask(second, "/exit?code=0")
	m.ended(0)
	if n := len(m.since(mark, is("spawned"))); n > 0 {
		t.Error("a finished worker was replaced")
	}
	if e := m.await(is("app ended")); e.Code != 0 || !strings.Contains(e.Reason, "finished") {
		t.Errorf("the end is not told: %s", e.Raw)
	}
}

// TestFinishedTogether is the same with both at once.
func TestFinishedTogether(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	done := fifo(t, dir, "done")
	write(t, dir, "tine.yaml", `
apps:
  job:
    command: [$MEMBER]
    env: {MEMBER_DONE_AFTER: "$DIR/done"}
    workers: 2
    $FAST
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	openGate(t, done)
	m.ended(0)
}

// TestCrashWithCode: an exit that is not 0 restarts it, with its last words told.
func TestCrashWithCode(t *testing.T) { bothWays(t, testCrashWithCode) }

func testCrashWithCode(t *testing.T, way option) {
	m := startReady(t, oneWorker, way)
	pid := m.workers("")[0]
	m.mustAsk(pid, "/print?to=stderr", "cannot open the database\n")
	mark := m.mark()
	m.ask(pid, "/exit?code=7")
	e := m.awaitFrom(mark, is("exited", pid))
	if e.Code != 7 || e.LastWords != "cannot open the database" {
		t.Errorf("the exit is not explained: %s", e.Raw)
	}
	m.awaitFrom(mark, is("ready"))
	m.who()
	m.stop()
}

// TestTermToAWorker: it drains while its successor serves.
func TestTermToAWorker(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneCalm)
	old := m.workers("")[0]
	c := dial(t, m.address())
	fmt.Fprintf(c, "GET /slow?ms=500 HTTP/1.0\r\nHost: x\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l := m.load(4)
	mark := m.mark()
	syscall.Kill(old, syscall.SIGTERM)
	if e := m.awaitFrom(mark, is("draining", old)); !strings.Contains(e.Reason, "SIGTERM") {
		t.Errorf("the reason is not told: %s", e.Raw)
	}
	m.awaitFrom(mark, is("ready"))
	if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "..") {
		t.Errorf("the request in flight was cut: %v %q", err, b)
	}
	if e := m.awaitFrom(mark, is("exited", old)); e.Code != 0 {
		t.Errorf("it exited with %d", e.Code)
	}
	l.lossless(t)
	m.stop()
}

// TestMasterKilled: the workers serve on; the error of a new tine names the process that holds the address.
func TestMasterKilled(t *testing.T) { // not parallel: see refused
	m := startReady(t, twoCalm, alone)
	address, workers := m.address(), values(m.workers(""))
	l := m.load(4)
	m.signal(syscall.SIGKILL)
	m.wait(patience)
	for _, pid := range workers {
		eventually.True(t, "the worker tells that its master has vanished, and serves", func() bool {
			_, err := m.ask(pid, "/")
			return err == nil
		})
		// Whatever it prints now has no reader: that must not end it.
		m.mustAsk(pid, "/print?to=stderr", "still here\n")
		m.mustAsk(pid, "/print?to=stdout", "still here\n")
		m.mustAsk(pid, "/")
	}
	l.lossless(t)
	words := []string{address, "address already in use by "}
	for _, pid := range workers {
		words = append(words, fmt.Sprintf("member (PID %d)", pid))
	}
	refused(t, []string{"run", "-l", address, "-n", "2", "--", memberPath}, words)

	// With them ended, the same command starts.
	for _, pid := range workers {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	eventually.True(t, "the orphans end", func() bool { return len(m.processes()) == 0 })
	again := startIn(t, folder(t), []string{"run", "-l", address, "-n", "2", "--drain-delay", "50ms", "--", memberPath})
	again.await(is("all workers are ready"))
	again.who()
	again.stop()
}

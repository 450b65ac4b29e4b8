//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestBrokenChannel: a worker that writes something that is not a frame, or one that is too large,
// is replaced; the log says why, and the other workers are not touched.
func TestBrokenChannel(t *testing.T) {
	for kind, word := range map[string]string{"garbage": "4294967295", "oversized": "536870912"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, twoWorkers, withEnv("MEMBER_GARBAGE=1"))
			bad, good := m.workers("")[0], m.workers("")[1]
			e := m.breakChannel(bad, kind)
			if e.PID != bad || e.Level != "error" || e.Slot != 0 || e.App != "web" {
				t.Errorf("the line does not name the worker: %s", e.Raw)
			}
			if !strings.Contains(e.Raw, word+" bytes") {
				t.Errorf("the line does not say how many bytes: %s", e.Raw)
			}
			if now := m.workers("")[1]; now != good {
				t.Errorf("the other worker was replaced by %d", now)
			}
			m.stop()
		})
	}
}

func TestBrokenChannelLosesNothing(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, withEnv("MEMBER_GARBAGE=1"))
	l := m.load(4)
	m.breakChannel(m.workers("")[0], "garbage")
	l.lossless(t)
	m.stop()
}

// TestClosedChannel: a worker that gives up its channel and runs on can be told
// nothing any more, so it is replaced.
func TestClosedChannel(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoWorkers, withEnv("MEMBER_GARBAGE=1"))
	bad := m.workers("")[0]
	mark := m.mark()
	m.mustAsk(bad, "/garbage?kind=closed")
	m.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Message, "closed its channel") && e.PID == bad })
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 0 })
	m.awaitFrom(mark, is("exited", bad))
	m.stop()
}

// breakChannel has a worker break the channel's rules and waits until it is replaced.
// It returns the line that says what happened.
func (m *tine) breakChannel(pid int, kind string) event {
	m.t.Helper()
	mark := m.mark()
	m.mustAsk(pid, "/garbage?kind="+kind)
	e := m.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Message, "broke the channel's rules") })
	m.awaitFrom(mark, is("exited", pid))
	m.awaitFrom(mark, is("ready"))
	return e
}

// TestOutput: each line of a worker has its name, JSON passes byte for byte, and what
// is not text cannot break the log.
func TestOutput(t *testing.T) { bothWays(t, testOutput) }

func testOutput(t *testing.T, way option) {
	m := startReady(t, oneWorker, way)
	pid := m.workers("")[0]
	object := `{"level":"warn", "msg":"mine" ,"n":1}`
	m.mustAsk(pid, "/print?to=stderr", "plain \"words\"\n"+object+"\n\xff\x00\x1b[31m\n")
	e := m.await(is(`plain "words"`))
	if e.App != "web" || e.Slot != 0 || e.PID != pid || e.Stream != "stderr" {
		t.Errorf("the line does not name its worker: %s", e.Raw)
	}
	m.await(func(e event) bool { return e.Raw == object })
	e = m.await(func(e event) bool { return strings.Contains(e.Raw, `[31m`) })
	if !json.Valid([]byte(e.Raw)) || e.Message != "\ufffd\x00\x1b[31m" {
		t.Errorf("bytes that are no text: %s", e.Raw)
	}

	// Standard output goes to standard output, and a long line is not lost.
	long := strings.Repeat("x", 200_000)
	m.mustAsk(pid, "/print", long+"\nend of output\n")
	var text string
	eventually.True(t, "stdout has it", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		text = m.stdout.String()
		return strings.Contains(text, "end of output")
	})
	if n := strings.Count(text, "x"); n != len(long) {
		t.Errorf("%d of %d bytes of a long line", n, len(long))
	}
	m.stop()
}

// TestOutputAsText has the prefix for people.
func TestOutputAsText(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	m := startIn(t, dir, []string{"run", "-l", "127.0.0.1:0", "-n", "1", "--name", "shop", "--drain-delay", "50ms", "--log-format", "text", "--", memberPath})
	e := m.await(func(e event) bool { return strings.Contains(e.Raw, "all workers are ready") })
	if strings.HasPrefix(e.Raw, "{") || strings.Contains(e.Raw, "\x1b") {
		t.Errorf("not text without colours: %q", e.Raw)
	}
	master := m.master()
	for _, pid := range m.processes() {
		if pid == m.pid || pid == master {
			continue
		}
		m.mustAsk(pid, "/print?to=stderr", "hello\n{\"a\": 1}\n")
		m.await(func(e event) bool { return e.Raw == fmt.Sprintf("shop/0[%d] hello", pid) })
		m.await(func(e event) bool { return e.Raw == fmt.Sprintf("shop/0[%d] {\"a\": 1}", pid) })
	}
	m.signal(syscall.SIGTERM)
	if code := m.wait(patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestGrandchildren end with their worker, however it ends.
func TestGrandchildren(t *testing.T) { bothWays(t, testGrandchildren) }

func testGrandchildren(t *testing.T, way option) {
	m := startReady(t, twoWorkers, way)
	child := func(pid int) int {
		n, err := strconv.Atoi(m.mustAsk(pid, "/grandchild"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := m.workers("")[0]
	crashed := child(first)
	mark := m.mark()
	syscall.Kill(first, syscall.SIGKILL)
	m.awaitFrom(mark, is("exited", first))
	eventually.True(t, "the grandchild of a worker that was killed ends", func() bool { return gone(crashed) })
	m.awaitFrom(mark, is("ready"))

	rolled := child(m.workers("")[1])
	m.roll()
	eventually.True(t, "the grandchild of a worker that was replaced ends", func() bool { return gone(rolled) })

	last := child(m.workers("")[0])
	m.stop()
	if !gone(last) {
		t.Error("the grandchild outlives the stop")
	}
}

//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tinehq/tine/ipc/eventually"
)

// begun sends a request on a connection of its own and waits for the first byte of
// the answer's body or head: the handler has it.
func begun(t *testing.T, address, request string) (rest func() (string, error)) {
	t.Helper()
	c := dial(t, address)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if _, err := r.Peek(1); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		b, err := io.ReadAll(r)
		return string(b), err
	}
}

const shortDrain = `
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 1
    drain_delay: 50ms
    drain_timeout: 400ms
    kill_after: 500ms
`

// cutInTime rolls while something is under way in the only worker that will not end
// by itself, and checks the policy: it is cut after drain_delay + drain_timeout, this
// is logged, and the rollout goes on.
func (m *tine) cutInTime(t *testing.T, requests string) {
	t.Helper()
	old := m.workers("")[0]
	mark := m.mark()
	began := time.Now()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout done"))
	took := time.Since(began)
	if took < 450*time.Millisecond {
		t.Errorf("it was cut after %s, before its time was up", took)
	}
	if took > 5*time.Second {
		t.Errorf("the rollout took %s", took)
	}
	cut := m.since(mark, is("requests cut off at the end of the drain"))
	if requests == "" {
		if len(cut) > 0 {
			t.Errorf("requests were cut: %s", cut[0].Raw)
		}
		return
	}
	if len(cut) != 1 || cut[0].PID != old || !strings.Contains(cut[0].Raw, `"requests":`+requests+",") {
		t.Errorf("the cut is not told: %v", cut)
	}
}

func TestRequestLongerThanTheDrain(t *testing.T) {
	t.Parallel()
	m := startReady(t, shortDrain)
	answer := m.slow(t, 60_000)
	m.cutInTime(t, "1")
	if text, err := answer(); err == nil && strings.HasSuffix(text, "..") {
		t.Error("it was answered?")
	}
	m.stop()
}

// TestRequestWithinTheDrain is the same with one that ends in time.
func TestRequestWithinTheDrain(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneWorker)
	answer := m.slow(t, 600)
	m.roll()
	if text, err := answer(); err != nil || !strings.HasSuffix(text, "..") {
		t.Errorf("it was cut: %v %q", err, text)
	}
	if cut := m.since(0, is("requests cut off at the end of the drain")); len(cut) > 0 {
		t.Errorf("a cut was told: %s", cut[0].Raw)
	}
	m.stop()
}

// TestClientThatNeverSends: open connections without a request, and with half of a
// head, hold a rollout up for no longer than the drain's time.
func TestClientThatNeverSends(t *testing.T) {
	t.Parallel()
	m := startReady(t, shortDrain)
	silent := dial(t, m.address())
	half := dial(t, m.address())
	fmt.Fprintf(half, "GET / HTT")
	m.who() // accepted after them
	mark := m.mark()
	began := time.Now()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("rollout done"))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the rollout took %s", took)
	}
	for name, c := range map[string]io.Reader{"silent": silent, "half": half} {
		if b, err := io.ReadAll(c); err != nil && !isReset(err) {
			t.Errorf("the %s connection is still open: %v %q", name, err, b)
		}
	}
	m.stop()
}

// TestUploadLongerThanTheDrain: the client sends a little now and then, for a minute.
func TestUploadLongerThanTheDrain(t *testing.T) {
	t.Parallel()
	m := startReady(t, shortDrain)
	c := dial(t, m.address())
	fmt.Fprintf(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\nExpect: 100-continue\r\n\r\n")
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the upload was not begun: %v %q", err, line)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 600 {
			if _, err := io.WriteString(c, strings.Repeat("x", 100)); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	m.cutInTime(t, "1")
	eventually.Receive(t, "the upload ends with its worker", ended)
	m.stop()
}

// TestUploadWithinTheDrain ends in time and is counted whole.
func TestUploadWithinTheDrain(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneWorker)
	c := dial(t, m.address())
	fmt.Fprintf(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the upload was not begun: %v %q", err, line)
	}
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	m.awaitFrom(mark, is("draining"))
	if _, err := io.WriteString(c, strings.Repeat("x", 1000)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(b), "1000") {
		t.Errorf("the answer is %q, %v", b, err)
	}
	m.awaitFrom(mark, is("rollout done"))
	m.stop()
}

// TestEventStreamOverARollout: a stream that watches Draining ends politely at once,
// one that does not is cut when the time is up.
func TestEventStreamOverARollout(t *testing.T) {
	t.Parallel()
	m := startReady(t, shortDrain)
	rest := begun(t, m.address(), "GET /events HTTP/1.0\r\nHost: x\r\n\r\n")
	m.roll()
	if text, err := rest(); err != nil || !strings.HasSuffix(text, "event: bye\n\n") {
		t.Errorf("it ended without a goodbye: %v %q", err, text)
	}
	rude := begun(t, m.address(), "GET /events?rude=1 HTTP/1.0\r\nHost: x\r\n\r\n")
	m.cutInTime(t, "1")
	if text, _ := rude(); strings.Contains(text, "bye") {
		t.Errorf("it ended with a goodbye: %q", text)
	}
	m.stop()
}

func TestWebSocketOverARollout(t *testing.T) {
	t.Parallel()
	m := startReady(t, oneWorker)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+m.address()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(ctx); err != nil || string(b) != "hello" {
		t.Fatalf("no echo: %v %q", err, b)
	}
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("it was not closed as going away: %v", err)
	}
	m.awaitFrom(mark, is("rollout done"))
	if cut := m.since(0, is("requests cut off at the end of the drain")); len(cut) > 0 {
		t.Errorf("a cut was told: %s", cut[0].Raw)
	}
	m.stop()
}

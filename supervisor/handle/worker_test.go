package handle

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/proc"
)

// watched is a master that has one worker: its facts, and what the worker printed.
type watched struct {
	facts chan Fact
	lines chan string
	pid   chan int
	done  chan struct{}
	going sync.WaitGroup
}

func newWatched(t *testing.T) *watched {
	m := &watched{facts: make(chan Fact, 64), lines: make(chan string, 64), pid: make(chan int, 4), done: make(chan struct{})}
	t.Cleanup(func() {
		close(m.done)
		m.going.Wait()
	})
	return m
}

func (m *watched) options() Options {
	return Options{
		Post: func(f Fact) bool {
			select {
			case m.facts <- f:
				return true
			case <-m.done:
				return false
			}
		},
		Done: m.done,
		Go:   m.going.Go,
		Output: func(pid int) (stdout, stderr Output) {
			m.pid <- pid
			return lines{m, "out"}, lines{m, "err"}
		},
	}
}

func (m *watched) start(t *testing.T, script string) *Worker {
	t.Helper()
	w, err := Start(proc.Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Dir: t.TempDir()}, nil, m.options())
	if err != nil {
		t.Fatal(err)
	}
	m.going.Go(w.Follow())
	t.Cleanup(func() {
		_ = w.Process().Kill()
		w.CloseChannel("the test ends")
	})
	return w
}

type lines struct {
	m      *watched
	stream string
}

func (l lines) Line(line []byte, _ bool) {
	l.m.lines <- l.stream + ":" + strings.TrimSuffix(string(line), "\n")
}
func (l lines) Written(bool) {}

// next waits for a fact of a kind, and drops others.
func next[F Fact](t *testing.T, m *watched) F {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case f := <-m.facts:
			if wanted, ok := f.(F); ok {
				return wanted
			}
		case <-late:
			t.Fatalf("no %T", *new(F))
		}
	}
}

// TestWorkerPostsItsLife: its output has a name before its first line, and the ends of its channel and of its process are posted.
func TestWorkerPostsItsLife(t *testing.T) {
	m := newWatched(t)
	w := m.start(t, "echo first; echo last words >&2; exit 3")
	if pid := <-m.pid; pid != w.PID() || !w.Reachable() || !w.Open() {
		t.Errorf("the output was given PID %d, the process is %d", pid, w.PID())
	}
	ended := next[ChannelEnded](t, m)
	if !w.Current(ended.Conn) || ended.Err != nil {
		t.Errorf("end of the channel: %+v", ended)
	}
	end := next[Exited](t, m)
	if end.Exit.Code != 3 || end.Left {
		t.Errorf("end: %+v", end)
	}
	got := map[string]bool{<-m.lines: true, <-m.lines: true}
	if !got["out:first"] || !got["err:last words"] {
		t.Errorf("printed %v", got)
	}
	if exit, ended := w.Ended(time.Now()); !ended || exit.Exit.Code != 3 {
		t.Errorf("asked for its end: %+v, %v", exit, ended)
	}
	w.CloseChannel("it has ended")
	if err := w.Send(ipc.Drain{}); !errors.Is(err, ipc.ErrClosed) || w.Open() {
		t.Errorf("sent to a worker without a channel: %v", err)
	}
}

// TestLastLinesAreWaitedFor: a master that waits for its goroutines at its end has all lines, however slowly the log takes them.
func TestLastLinesAreWaitedFor(t *testing.T) {
	const printed = 5000 // more than m.lines takes, and less than a pipe
	m := newWatched(t)
	w := m.start(t, "seq 1 5000")
	eventually.Receive(t, "the end of the grace", w.Process().OutputDone())
	next[Exited](t, m)
	ended := make(chan struct{})
	go func() { m.going.Wait(); close(ended) }()
	for n := range printed {
		line := eventually.Receive(t, "a line", m.lines)
		if want := "out:" + strconv.Itoa(n+1); line != want {
			t.Fatalf("%q comes where %q is next", line, want)
		}
		select {
		case <-ended:
			if left := printed - n - 1; left > cap(m.lines) {
				t.Fatalf("nothing runs any more, and %d lines are missing", left)
			}
		default:
		}
	}
}

// TestCannotStart leaves nothing behind.
func TestCannotStart(t *testing.T) {
	m := newWatched(t)
	if w, err := Start(proc.Command{Path: "/nowhere/at/all", Args: []string{"x"}, Dir: t.TempDir()}, nil, m.options()); err == nil {
		t.Errorf("started %d", w.PID())
	}
}

// pair is a worker whose end of the channel the test has.
func pair(t *testing.T) (w *Worker, worker io.ReadWriteCloser) {
	t.Helper()
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	w = Attach(&proc.Process{}, conn, newWatched(t).options())
	t.Cleanup(func() {
		w.CloseChannel("the test ends")
		child.Close()
	})
	return w, child
}

func nothing(t *testing.T) *ipc.Payload {
	t.Helper()
	p, err := ipc.NewPayload(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAbandonedCallsMakeRoom: a worker that never answers can be called for ever, as callers give up, but has no more than so many
// calls at a time.
func TestAbandonedCallsMakeRoom(t *testing.T) {
	w, worker := pair(t)
	go io.Copy(io.Discard, worker)
	for range MaxCalls + 1 {
		answer := make(chan ipc.Reply, 1)
		w.Call("m", 0, nothing(t), answer)
		w.Cancel(answer)
		if len(w.calls) != 0 {
			t.Fatal("a call is kept whose caller has given up")
		}
	}
	answers := make(chan ipc.Reply, MaxCalls)
	first := w.lastCall + 1
	w.calls = map[uint64]chan<- ipc.Reply{}
	for i := range uint64(MaxCalls) {
		w.calls[first+i] = answers
	}
	more := make(chan ipc.Reply, 1)
	w.Call("m", 0, nothing(t), more)
	if r := <-more; r.Error == "" || w.lastCall != first-1 {
		t.Errorf("one call too many was sent: %+v", r)
	}
	w.Replied(ipc.Reply{ID: first, Payload: nothing(t)})
	w.Replied(ipc.Reply{ID: first, Payload: nothing(t)}) // no caller waits for it any more
	if r := <-answers; r.ID != first || r.Error != "" || len(w.calls) != MaxCalls-1 {
		t.Errorf("answer %+v", r)
	}
	w.CloseChannel("it ends")
	for range MaxCalls - 1 {
		if r := <-answers; r.Error != "it ends" {
			t.Fatalf("answer %+v", r)
		}
	}
}

// TestDroppedMessages are counted, and told at most once a second.
func TestDroppedMessages(t *testing.T) {
	w, _ := pair(t)
	text, err := ipc.NewPayload([]byte(strings.Repeat("x", 4096)))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Release()
	now := time.Now()
	flood := func(topic string) {
		t.Helper()
		for sent := 0; w.dropped.n < 3; sent++ {
			if sent > 100_000 {
				t.Fatal("no message is dropped")
			}
			w.Note(ipc.Message{Topic: topic, Payload: text.Retain()})
		}
	}
	flood("a")
	if n, topic := w.Dropped(now, false); n != 3 || topic != "a" {
		t.Errorf("%d of %q", n, topic)
	}
	flood("b")
	if n, _ := w.Dropped(now.Add(sayEvery-1), false); n != 0 {
		t.Errorf("%d are told within a second", n)
	}
	if n, topic := w.Dropped(now.Add(sayEvery), false); n != 3 || topic != "b" {
		t.Errorf("%d of %q", n, topic)
	}
	flood("c")
	if n, _ := w.Dropped(now.Add(sayEvery), true); n != 3 {
		t.Errorf("%d are told at the end", n)
	}
	if n, _ := w.Dropped(now.Add(time.Hour), true); n != 0 {
		t.Errorf("%d are told again", n)
	}
}

// TestZeroWorker is of a process that was not reached.
func TestZeroWorker(t *testing.T) {
	for _, w := range []*Worker{nil, {}} {
		w.CloseChannel("it was not reached")
		if n, _ := w.Dropped(time.Now(), true); n != 0 {
			t.Error("it has dropped messages")
		}
		if w.PID() != 0 {
			t.Error("it has a PID")
		}
	}
}

package logs

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// inTime waits for what must come.
func inTime(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
	}
}

// awaits calls Written for a line of s in a goroutine of its own.
func awaits(s *sink, mark uint64) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Written(mark, true, 0)
	}()
	return done
}

func TestSinkWritten(t *testing.T) {
	t.Run("waits for the destination", func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		s := newSink(g, nil, lostNotice)
		first, _ := s.Line([]byte("one\n"))
		second, _ := s.Line([]byte("two\n"))
		one := awaits(s, first)
		select {
		case <-one:
			t.Fatal("a line is said to be written that is not")
		case <-time.After(20 * time.Millisecond):
		}
		close(g.open)
		inTime(t, one, "the first line")
		inTime(t, awaits(s, second), "the second line")
		if g.String() != "one\ntwo\n" {
			t.Errorf("got %q", g)
		}
		if err := s.Close(5 * time.Second); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("what is refused counts", func(t *testing.T) {
		g := &gate{}
		g.fail(errors.New("no space left on device"))
		s := newSink(g, nil, lostNotice)
		mark, _ := s.Line([]byte("one\n"))
		inTime(t, awaits(s, mark), "the refusal")
		_ = s.Close(5 * time.Second)
	})
	t.Run("what is dropped counts", func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		s := newSink(g, nil, lostNotice)
		big := make([]byte, sinkSize)
		s.Line(big)
		s.Line(big) // the first may be on its way: this one is in the queue
		mark, ok, dropped := s.Offer([]byte("one\n"))
		if !ok || !dropped {
			t.Fatalf("ok %v, dropped %v", ok, dropped)
		}
		inTime(t, awaits(s, mark), "the drop")
		close(g.open)
		if err := s.Close(5 * time.Second); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a sink that is given up", func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		s := newSink(g, nil, lostNotice)
		mark, _ := s.Line([]byte("one\n"))
		done := awaits(s, mark)
		if err := s.Close(10 * time.Millisecond); err == nil {
			t.Fatal("closed although the destination takes nothing")
		}
		inTime(t, done, "the end of the wait")
		inTime(t, awaits(s, mark), "the end of a later wait")
		close(g.open)
		<-s.finished
	})
}

// A line is in its app's file when its outlet says so, and those that went to a file that the config has changed since are
// in that.
func TestOutletWritten(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.log"), filepath.Join(dir, "2.log")
	l := newTestLogs(t, config.Log{Format: "text"}, &syncBuffer{}, config.App{Name: "web", Log: config.AppLog{File: first}})
	var prefix atomic.Pointer[Prefix]
	prefix.Store(NewPrefix("web", 0, 1, 7, api.StreamStdout))
	o := l.Outlet(&prefix)
	o.Written(true) // nothing yet
	o.Line([]byte("one"), false)
	o.Written(false)
	if text, err := os.ReadFile(first); len(text) == 0 {
		t.Errorf("%q, %v", text, err)
	}
	o.Line([]byte("two"), false)
	if err := l.SetApps([]config.App{{Name: "web", Log: config.AppLog{File: second}}}, true); err != nil {
		t.Fatal(err)
	}
	o.Line([]byte("three"), false)
	o.Written(true)
	for path, n := range map[string]int{first: 2, second: 1} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, c := range text {
			if c == '\n' {
				lines++
			}
		}
		if lines != n {
			t.Errorf("%s has %q", path, text)
		}
	}
}

// A worker that must not wait does not wait for what it has printed to be written either.
func TestOutletWrittenOfWhoMustNotWait(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	l := newTestLogs(t, config.Log{Format: "text"}, g, config.App{Name: "web", Log: config.AppLog{OnFull: config.OnFullDrop}})
	var prefix atomic.Pointer[Prefix]
	prefix.Store(NewPrefix("web", 0, 1, 7, api.StreamStdout))
	o := l.Outlet(&prefix)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3000 { // a minute, if each waited
			o.Line([]byte("a line"), false)
			o.Written(true)
		}
	}()
	inTime(t, done, "the last line")
	if !o.behind {
		t.Error("a destination that takes nothing is not behind")
	}
	close(g.open)
	eventually.True(t, "a destination that has taken all is not behind", func() bool {
		o.Written(false)
		return !o.behind
	})
}

// A file that a master was killed at ends in a part of a line: the next does not write on in it.
func TestFileThatEndsInAPartOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("whole\npa"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := openLog(path, rotation{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("part\n")); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "whole\npa\npart\n" {
		t.Errorf("the file is %q", text)
	}
}

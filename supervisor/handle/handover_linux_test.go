package handle

import (
	"os"
	"testing"
	"time"
)

// TestHandover: another master adopts the worker by its files, and knows how it ended; the one that has let go hears nothing of it.
func TestHandover(t *testing.T) {
	m := newWatched(t)
	w := m.start(t, "exec sleep 60")
	w.HearOut(time.Second, false)
	files, err := w.Give()
	if err != nil || len(files) != FilesOfWorker || w.Open() {
		t.Fatalf("%d files, %v", len(files), err)
	}
	<-w.Quit()
	if _, ended := w.Ended(time.Now()); ended {
		t.Error("a process that runs is said to have ended")
	}
	w.Forget()

	other := newWatched(t)
	adopted, err := Adopt(w.PID(), files, nil, other.options())
	if err != nil {
		t.Fatal(err)
	}
	other.going.Go(adopted.Follow())
	if adopted.PID() != w.PID() || !adopted.Reachable() || !adopted.Open() {
		t.Error("it has no lifeline or channel")
	}
	_ = adopted.Process().Kill()
	if end := next[Exited](t, other); end.Exit.Code == 0 {
		t.Errorf("end: %+v", end)
	}
	adopted.CloseChannel("the test ends")
	for len(m.facts) > 0 {
		if f, ok := (<-m.facts).(Exited); ok {
			t.Errorf("the master that has let go is told of %+v", f)
		}
	}
}

// TestReclaim: a handover that fails gives the worker back, with a new channel, and its end is posted once.
func TestReclaim(t *testing.T) {
	m := newWatched(t)
	w := m.start(t, "exec sleep 60")
	files, err := w.Give()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	<-w.Quit()
	<-m.pid
	before := w.Process()
	again, err := w.Reclaim(time.Now().Add(10*time.Second), func(int) ExitOf { return nil })
	if !again || err != nil || w.Process() == before {
		t.Fatalf("again %v, %v", again, err)
	}
	if !w.Renew() || w.Renew() || !w.Open() {
		t.Error("it has no new channel, or two")
	}
	m.going.Go(w.Follow())
	_ = w.Process().Kill()
	next[Exited](t, m)
	if again, err := w.Reclaim(time.Now(), nil); again || err != nil {
		t.Errorf("reclaimed twice: %v", err)
	}
	<-w.Process().Exited()
	if files, err := w.Give(); err != nil || files != nil {
		t.Errorf("what has ended is given: %d files, %v", len(files), err)
	}
}

// TestCannotAdopt closes the files.
func TestCannotAdopt(t *testing.T) {
	m := newWatched(t)
	var files []*os.File
	for range FilesOfWorker {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if _, err := Adopt(os.Getpid(), files, nil, m.options()); err == nil {
		t.Error("adopted by a descriptor that is not of a process")
	}
	for i, f := range files {
		if f.Close() == nil {
			t.Errorf("file %d is still open", i)
		}
	}
}

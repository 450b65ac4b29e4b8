package worker

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func TestStartHasIdentityAndSnapshot(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 50, "name": "x"})
	if !w.Attached() || w.App() != "web" || w.ID() != 7 || w.Generation() != 3 || w.Slot() != -1 {
		t.Errorf("attached %v app %q id %d generation %d slot %d", w.Attached(), w.App(), w.ID(), w.Generation(), w.Slot())
	}
	if n, ok := Cached[int](w, "n").Get(); n != 50 || !ok {
		t.Errorf("n is %d, %v right after Start", n, ok)
	}
	m.acked(2)
}

func TestStartRefusesAMasterThatItCannotUnderstand(t *testing.T) {
	for name, c := range map[string]struct {
		frames []ipc.Frame
		want   string
	}{
		"protocol": {[]ipc.Frame{ipc.Hello{Protocol: 99, PID: 1}}, "protocol 99"},
		"order":    {[]ipc.Frame{ipc.Ready{}}, "instead of a hello"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaster(t)
			m.send(c.frames...)
			if _, err := Start(WithLogger(quiet())); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, must name %q", err, c.want)
			}
		})
	}
	t.Run("end", func(t *testing.T) {
		m := newMaster(t)
		m.conn.Close()
		if _, err := Start(WithLogger(quiet())); err == nil {
			t.Error("no error though the master has gone")
		}
	})
}

func TestStartDoesNotWaitForEver(t *testing.T) {
	newMaster(t) // which says nothing
	_, err := Start(WithLogger(quiet()), func(o *options) { o.attach = 20 * time.Millisecond })
	if err == nil || !strings.Contains(err.Error(), "within 20ms") {
		t.Errorf("error is %v", err)
	}
}

func TestStandbyServesWhenItGetsASlot(t *testing.T) {
	w, m := withMaster(t, nil)
	served := make(chan error, 1)
	go func() { served <- w.Serve(http.NotFoundHandler()) }()
	addr := m.assign()
	expect[ipc.Ready](m)
	if w.Slot() != 2 {
		t.Errorf("slot is %d", w.Slot())
	}
	if code := get(t, http.DefaultClient, "http://"+addr+"/").StatusCode; code != 404 {
		t.Errorf("status %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	m.send(ipc.Drain{Reason: "stop", Handover: true})
	if err := eventually.Receive(t, "Serve returns", served); err != nil {
		t.Error(err)
	}
}

func TestManualReady(t *testing.T) {
	w, m := withMaster(t, nil, WithManualReady())
	m.assign()
	if _, err := w.Listener(); err != nil {
		t.Fatal(err)
	}
	if err := w.Send("before", 1); err != nil {
		t.Fatal(err)
	}
	if f := expect[ipc.Message](m); f.Topic != "before" {
		t.Errorf("topic %q", f.Topic)
	}
	for range 2 {
		if err := w.Ready(); err != nil {
			t.Fatal(err)
		}
	}
	expect[ipc.Ready](m)
	if err := w.Send("after", 1); err != nil {
		t.Fatal(err)
	}
	expect[ipc.Message](m) // no second Ready
}

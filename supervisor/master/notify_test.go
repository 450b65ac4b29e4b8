package master

import (
	"errors"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/keeper"
)

// overseer hears what a process under systemd would say.
type overseer struct {
	t    *testing.T
	said chan string // notifications
	all  []string    // that were looked at
}

func newOverseer(t *testing.T) (*overseer, *keeper.Client) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	client, err := keeper.Dial()
	if err != nil {
		t.Fatal(err)
	}
	o := &overseer{t: t, said: make(chan string, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(o.said)
		for buf := make([]byte, 4096); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			o.said <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { client.Close(); conn.Close(); <-ended })
	return o, client
}

// await is the first notification from here on that has a line which matches. A status may have come with the last.
func (o *overseer) await(pattern string) (whole string) {
	o.t.Helper()
	line := regexp.MustCompile("(?m)^" + pattern + "$")
	if n := len(o.all); n > 0 && strings.HasPrefix(pattern, "STATUS=") && line.MatchString(o.all[n-1]) {
		return o.all[n-1]
	}
	late := time.After(20 * time.Second)
	for {
		select {
		case said := <-o.said:
			o.all = append(o.all, said)
			if line.MatchString(said) {
				return said
			}
		case <-late:
			o.t.Fatalf("it was not said: %s; but: %q", pattern, o.all)
		}
	}
}

// count says how many of the notifications since the last count have this line.
func (o *overseer) count(line string) (n int) {
	for _, said := range o.all {
		if strings.Contains("\n"+said+"\n", "\n"+line+"\n") {
			n++
		}
	}
	o.all = nil
	return n
}

// TestNotifications: what is said from the start to the end.
func TestNotifications(t *testing.T) {
	o, client := newOverseer(t)
	before := ipc.Monotonic() / 1000
	m := startMaster(t, nil, WithKeeper(client))
	if first := o.await("STATUS=.*"); !strings.HasPrefix(first, "STATUS=starting") {
		t.Errorf("the first word is %q", first)
	}
	o.await("READY=1")
	o.await("STATUS=2 of 2 ready")

	// A rollout.
	if err := m.s.Roll("", "test"); err != nil {
		t.Fatal(err)
	}
	said := o.await("RELOADING=1")
	usec, _ := strconv.ParseInt(regexp.MustCompile(`MONOTONIC_USEC=(\d+)`).FindStringSubmatch(said)[1], 10, 64)
	if now := ipc.Monotonic() / 1000; usec < before || usec > now {
		t.Errorf("it began at %d, want between %d and %d: %s", usec, before, now, said)
	}
	o.await(`STATUS=\d of 2 ready, rollout \d of 2`)
	o.await("READY=1")
	o.await("STATUS=2 of 2 ready")

	// A configuration that cannot be had: whoever has asked waits for an answer all the same.
	o.all = nil
	m.s.loadConfig()
	o.await("RELOADING=1")
	o.await("READY=1")
	if n := o.count("RELOADING=1"); n != 1 {
		t.Errorf("RELOADING=1 was said %d times", n)
	}
	for late := time.Now().Add(20 * time.Second); !strings.Contains(m.log.String(), "configuration not applied"); time.Sleep(time.Millisecond) {
		if time.Now().After(late) { // the log is written by another goroutine
			t.Fatal("it was not said that the configuration is not applied")
		}
	}

	// A stop.
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	o.await("STOPPING=1")
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	client.Notify("X-END=1")
	o.await("X-END=1")
	if n := o.count("READY=1"); n != 0 {
		t.Error("READY=1 was said after STOPPING=1")
	}
}

// TestNoReadyForAnAppThatFails: nor is its end, which is in order, kept from whoever is above.
func TestNoReadyForAnAppThatFails(t *testing.T) {
	o, client := newOverseer(t)
	app := testApp("web", filepath.Join(t.TempDir(), "none"), 1)
	app.Command = []string{"/bin/sh", "-c", "exit 3"}
	app.Backoff.Base, app.Backoff.Max = time.Millisecond, time.Millisecond
	s, err := New(&config.Config{Name: "test", Apps: []config.App{app}}, WithKeeper(client), WithOutput(&lockedBuffer{}, &lockedBuffer{}))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(bounded(t))
	if end := (*ExitError)(nil); !errors.As(err, &end) || end.Code != 70 {
		t.Errorf("it ended with %v", err)
	}
	o.await("STOPPING=1")
	if o.count("READY=1") > 0 {
		t.Error("READY=1 was said")
	}
}

// TestSignsOfLife come at least twice in the time that is given.
func TestSignsOfLife(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "400000")
	o, client := newOverseer(t)
	startMaster(t, nil, WithKeeper(client))
	o.await("READY=1")
	last := time.Now()
	for range 5 {
		o.await("WATCHDOG=1")
		if d := time.Since(last); d < 0 || d > 5*time.Second {
			t.Errorf("no sign of life for %s", d)
		}
		last = time.Now()
	}
}

package master

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
)

// askProbe asks over TCP, on a connection of its own.
func askProbe(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// healthAddress is where the master that wrote this log can be asked.
func healthAddress(t *testing.T, log *lockedBuffer) string {
	t.Helper()
	return loggedAddress(t, log, "health")
}

// loggedAddress is the address in the line of the log with a message.
func loggedAddress(t *testing.T, log *lockedBuffer, message string) string {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var l struct{ Message, Address string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == message {
			return l.Address
		}
	}
	t.Fatalf("the log does not say where:\n%s", log)
	return ""
}

// TestHealthOverItsLife: ready, no worker any more, and a stop that waits.
func TestHealthOverItsLife(t *testing.T) {
	m := startMaster(t, func(c *config.Config) { c.Health.Listen, c.StopDelay = "127.0.0.1:0", time.Hour })
	at := healthAddress(t, m.log)
	for path, want := range map[string]string{
		"/healthz": "200 ok\n", "/readyz": "200 web: ready, 2 of 2 workers are ready\n",
	} {
		if status, body := askProbe(t, at, path); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := askProbe(t, at, "/v1/status"); status != 404 || !strings.Contains(body, "only GET /healthz and GET /readyz") {
		t.Errorf("%d %s", status, body)
	}
	status, body := askProbe(t, at, "/v1/load")
	load, err := (&members.Question{}).Read([]byte(body))
	if err != nil || status != 200 || load.Epoch == 0 || load.Sequence != 1 || load.Stats[members.MemoryTotal] <= 0 {
		t.Errorf("%d %s", status, body)
	}
	if inFlight, told := load.Stats[members.InFlight]; !told || inFlight != 0 {
		t.Errorf("the workers are idle: %s", body)
	}
	before, err := m.s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if status, body := askProbe(t, at, "/readyz"); status != 503 || body != "tine is stopping\nweb: ready, 2 of 2 workers are ready\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, body := askProbe(t, at, "/healthz"); status != 200 {
		t.Errorf("%d %q", status, body)
	}
	// Nothing else has changed: who was ready serves on.
	if status, _ := askProbe(t, before.Apps[0].Listen[0], "/"); status != 200 {
		t.Errorf("a request during the delay: %d", status)
	}
	after, err := m.s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if after.Apps[0].Ready != 2 || !slices.Equal(pidsOf(after), pidsOf(before)) {
		t.Errorf("%+v, was %+v", after.Apps[0], before.Apps[0])
	}
	if err := m.s.Stop(); err != nil { // skips the rest of the hour
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	if strings.Contains(m.log.String(), `"at_once":true`) {
		t.Error("the second order was taken for one to kill")
	}
}

func pidsOf(st Status) (all []int) {
	for _, s := range st.Apps[0].Slots {
		for _, w := range s.Workers {
			all = append(all, w.PID)
		}
	}
	return all
}

// TestReadyzFromTheStart: a start that goes on is alive, and not ready.
func TestReadyzFromTheStart(t *testing.T) {
	behaviour := t.TempDir() + "/behaviour"
	log := &lockedBuffer{}
	m := &master{t: t, behaviour: behaviour, log: log, ended: make(chan error, 1)}
	m.behave("hang")
	c := &config.Config{Name: "test", Log: config.Log{Format: "json", Level: "debug"}, Apps: []config.App{testApp("web", behaviour, 1)}, Health: config.Health{Listen: "127.0.0.1:0"}, StopDelay: time.Hour}
	s, err := New(c, WithOutput(log, log))
	if err != nil {
		t.Fatal(err)
	}
	go func() { m.ended <- s.Run(bounded(t)) }()
	<-s.started
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), `"message":"health"`); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no health is served")
		}
	}
	at := healthAddress(t, log)
	if status, body := askProbe(t, at, "/readyz"); status != 503 || body != "web: starting, 0 of 1 workers are ready\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, body := askProbe(t, at, "/healthz"); status != 200 {
		t.Errorf("%d %q", status, body)
	}
	if err := s.Stop(); err != nil { // with no delay: nobody was told to come
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
}

// TestHealthzIsBounded: a loop that does not answer is not alive.
func TestHealthzIsBounded(t *testing.T) {
	m := startMaster(t, func(c *config.Config) { c.Health.Listen = "127.0.0.1:0" })
	at := healthAddress(t, m.log)
	held, release := make(chan struct{}), make(chan struct{})
	if !m.s.post(holdLoop{held, release}) {
		t.Fatal("the loop has ended")
	}
	<-held
	began := time.Now()
	status, body := askProbe(t, at, "/healthz")
	close(release)
	if status != 503 || !strings.Contains(body, "not within 900ms") {
		t.Errorf("%d %q", status, body)
	}
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("after %s", took)
	}
	if status, body := askProbe(t, at, "/healthz"); status != 200 {
		t.Errorf("%d %q", status, body)
	}
}

// TestHealthBesideIdleConnections: clients that connect and say nothing keep no probe out, however many they are.
func TestHealthBesideIdleConnections(t *testing.T) {
	m := startMaster(t, func(c *config.Config) { c.Health.Listen = "127.0.0.1:0" })
	at := healthAddress(t, m.log)
	var first net.Conn
	for i := range m.s.descriptors().Askers + 100 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i == 0 {
			first = c
		}
		if i%200 == 0 {
			if status, body := askProbe(t, at, "/readyz"); status != 200 {
				t.Fatalf("beside %d idle connections: %d %q", i, status, body)
			}
		}
	}
	if status, body := askProbe(t, at, "/healthz"); status != 200 {
		t.Errorf("%d %q", status, body)
	}
	first.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := first.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection that idled longest: %v, want its end", err)
	}
}

// holdLoop has the loop stand still until it is released.
type holdLoop struct {
	held    chan<- struct{}
	release <-chan struct{}
}

func (h holdLoop) apply(*loop) {
	close(h.held)
	<-h.release
}

// TestAgentCheck: HAProxy is told how an app is, and that the master stops.
func TestAgentCheck(t *testing.T) {
	m := startMaster(t, func(c *config.Config) { c.Health.Agent, c.StopDelay = "127.0.0.1:0", time.Hour })
	at := loggedAddress(t, m.log, "agent-check")
	ask := func() string {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(eventually.Patience()))
		if _, err := io.WriteString(c, "web\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	if got := ask(); got != "ready up 100%\n" {
		t.Errorf("%q", got)
	}
	if err := m.s.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "up drain #tine is stopping\n" {
		t.Errorf("%q", got)
	}
	if err := m.s.Stop(); err != nil { // skips the rest of the hour
		t.Fatal(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
}

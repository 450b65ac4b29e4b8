//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/claim"
)

// patience bounds every wait for something that must happen. Only a failure takes that long.
var patience = eventually.Patience()

// fast are the times of an app that a test does not care about, at the indent of
// an app's keys.
const fast = `drain_delay: 50ms
    drain_timeout: 5s
    kill_after: 500ms
    backoff: {base: 20ms, max: 100ms}`

// calm is fast with time enough for kept-alive connections, also on a busy machine: a
// client that gets no turn during the whole drain_delay finds its connection closed.
// It is for tests whose load must lose nothing, and costs them a second at the stop.
const calm = `drain_delay: 1s
    drain_timeout: 5s
    kill_after: 500ms
    backoff: {base: 20ms, max: 100ms}`

// event is a line of the master's log.
type event struct {
	Level, Message, App, State, Reason, Signal, Error, Key, Stream string
	Steering, Policy, File, Dump                                   string
	LastWords                                                      string `json:"last_words"`
	Slot, PID, Code, Generation, Failures, Slots                   int
	Worker                                                         uint64
	DelayMS                                                        float64 `json:"delay_ms"`
	AgeMS                                                          float64 `json:"age_ms"`
	TookMS                                                         float64 `json:"took_ms"`

	Time time.Time // when it was logged; At is when the test has read it

	Raw string    `json:"-"`
	At  time.Time `json:"-"`
}

// is makes the usual question: what happened, optionally to which PID.
func is(message string, pid ...int) func(event) bool {
	return func(e event) bool { return e.Message == message && (len(pid) == 0 || e.PID == pid[0]) }
}

// tine is a running master and its log.
type tine struct {
	t   *testing.T
	dir string // its working folder and that of its config; its members' sockets are there
	cmd *exec.Cmd
	pid int

	mu     sync.Mutex
	events []event
	stdout bytes.Buffer
	news   chan struct{} // closed and replaced with each event

	exited chan struct{}
	code   int
	took   time.Duration // from start to exit
}

// option changes how a master is started.
type option func(*exec.Cmd)

func withEnv(kv ...string) option { return func(c *exec.Cmd) { c.Env = append(c.Env, kv...) } }

// asUser runs it without root's rights.
func asUser(uid uint32) option {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// folder is a test's own: with a short name, since it holds sockets, and open to
// other users.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write puts a file into dir, replacing $MEMBER, $DIR, $FAST and $CALM in its text.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text = strings.NewReplacer("$MEMBER", memberPath, "$DIR", dir, "$FAST", fast, "$CALM", calm).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// fifo makes one in dir.
func fifo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// openGate lets through each process that waits at a FIFO, now and until the end of the test.
func openGate(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
}

// startConfig starts a master with this config in a folder of its own.
func startConfig(t *testing.T, config string, opts ...option) *tine {
	t.Helper()
	dir := folder(t)
	write(t, dir, "tine.yaml", config)
	return startIn(t, dir, []string{"run", "-c", "tine.yaml"}, opts...)
}

// startReady starts a master and waits until all workers are ready.
func startReady(t *testing.T, config string, opts ...option) *tine {
	t.Helper()
	m := startConfig(t, config, opts...)
	m.await(is("all workers are ready"))
	return m
}

func startIn(t *testing.T, dir string, args []string, opts ...option) *tine {
	t.Helper()
	return startProgram(t, dir, tinePath, args, opts...)
}

// worldOf makes a master and its commands know only those of the same folder: many tests run at a time, with masters of the
// same name.
func worldOf(dir string) string { return claim.EnvWorld + "=" + filepath.Join(dir, "world") }

func startProgram(t *testing.T, dir, program string, args []string, opts ...option) *tine {
	t.Helper()
	m := &tine{t: t, dir: dir, news: make(chan struct{}), exited: make(chan struct{})}
	m.cmd = exec.Command(program, args...)
	m.cmd.Dir = dir
	m.cmd.Env = append(os.Environ(), "MEMBER_CONTROL="+dir, "TINE_LOG_LEVEL=debug", "TINE_CONTROL="+socketIn(dir), worldOf(dir))
	for _, o := range opts {
		o(m.cmd)
	}
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stdout = &locked{mu: &m.mu, b: &m.stdout}
	began := time.Now()
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.pid = m.cmd.Process.Pid
	go func() {
		m.read(stderr)
		err := m.cmd.Wait()
		m.took = time.Since(began)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			m.code = -2
		} else {
			m.code = m.cmd.ProcessState.ExitCode()
		}
		close(m.exited)
	}()
	t.Cleanup(m.cleanup)
	return m
}

// locked is where the workers' stdout goes while the test looks at it.
type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// read takes the log to its end. Orphans hold the pipe too: a master that was
// killed is gone all the same.
func (m *tine) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := event{Raw: lines.Text(), At: time.Now()}
		_ = json.Unmarshal(lines.Bytes(), &e) // a line that is not JSON has Raw only
		m.mu.Lock()
		m.events = append(m.events, e)
		close(m.news)
		m.news = make(chan struct{})
		m.mu.Unlock()
	}
}

// killAll kills the processes that are left in the folder, and those that they start meanwhile.
func (m *tine) killAll() {
	eventually.True(m.t, "no process is left", func() bool {
		left := m.processes()
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(left) == 0
	})
}

// cleanup ends what a test left and shows the log of one that failed.
func (m *tine) cleanup() {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if strings.Contains(m.raw(), "DATA RACE") {
			m.t.Error("a data race, see the log")
		}
		if m.t.Failed() {
			for _, e := range m.events {
				m.t.Log(e.At.Format("05.000"), e.Raw)
			}
			m.t.Logf("stdout: %s", m.stdout.Bytes())
		}
	}()
	m.cmd.Process.Kill()
	m.killAll()
	eventually.Receive(m.t, "the master's stderr is closed", m.exited)
}

func (m *tine) raw() string {
	var b strings.Builder
	for _, e := range m.events {
		b.WriteString(e.Raw + "\n")
	}
	return b.String()
}

// stderr is its log so far.
func (m *tine) stderr() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.raw()
}

// processes are those below this master that run, the master itself too: they carry
// its folder in the environment, however they were started.
func (m *tine) processes() (pids []int) {
	mark := []byte("\x00MEMBER_CONTROL=" + m.dir + "\x00")
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, b...), mark) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mark is a point in the log to wait from.
func (m *tine) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

// await waits for the first event that the log has or will have.
func (m *tine) await(ok func(event) bool) event { m.t.Helper(); return m.awaitFrom(0, ok) }

// awaitFrom does the same from a mark on.
func (m *tine) awaitFrom(mark int, ok func(event) bool) event {
	m.t.Helper()
	e, found := m.find(mark, ok, patience)
	if !found {
		m.t.Fatal("what the test waits for did not happen: see the log")
	}
	return e
}

func (m *tine) find(mark int, ok func(event) bool, within time.Duration) (event, bool) {
	late := time.After(within)
	for i := mark; ; {
		m.mu.Lock()
		for ; i < len(m.events); i++ {
			if e := m.events[i]; ok(e) {
				m.mu.Unlock()
				return e, true
			}
		}
		news := m.news
		m.mu.Unlock()
		select {
		case <-news:
		case <-late:
			return event{}, false
		case <-m.exited:
			select {
			case <-news: // its last line came between
			default:
				return event{}, false
			}
		}
	}
}

// since are the events from a mark on that fit.
func (m *tine) since(mark int, ok func(event) bool) (found []event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events[mark:] {
		if ok(e) {
			found = append(found, e)
		}
	}
	return found
}

func (m *tine) signal(sig syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Fatalf("cannot send %s to the master: %v", sig, err)
	}
}

// wait waits for its end and returns the exit status.
func (m *tine) wait(within time.Duration) int {
	m.t.Helper()
	select {
	case <-m.exited:
	case <-time.After(within):
		m.t.Fatalf("the master did not exit within %s", within)
	}
	return m.code
}

// stop ends it politely and holds it to what every end must be.
func (m *tine) stop() {
	m.t.Helper()
	m.signal(syscall.SIGTERM)
	m.ended(0)
}

// ended waits for its end: with this status, no process and no listening socket
// left.
func (m *tine) ended(code int) {
	m.t.Helper()
	if got := m.wait(patience); got != code {
		m.t.Errorf("exit status %d, want %d", got, code)
	}
	m.nothingLeft()
}

func (m *tine) nothingLeft() {
	m.t.Helper()
	if left := m.processes(); len(left) > 0 {
		m.t.Errorf("processes are left: %v", left)
	}
	for _, address := range m.addresses("") {
		network := "tcp"
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			if _, err := os.Lstat(path); err == nil {
				m.t.Errorf("the socket %s is left", path)
			}
			continue
		}
		ln, err := net.Listen(network, address)
		if err != nil {
			m.t.Errorf("the address is still taken: %v", err)
			continue
		}
		ln.Close()
	}
}

// addresses are those that the app listens on, or all apps.
func (m *tine) addresses(app string) (all []string) {
	for _, e := range m.since(0, func(e event) bool { return e.Message == "starting" && (app == "" || e.App == app) }) {
		var line struct{ Listen []string }
		_ = json.Unmarshal([]byte(e.Raw), &line)
		all = append(all, line.Listen...)
	}
	return all
}

// address is the first that it listens on.
func (m *tine) address() string {
	m.t.Helper()
	m.await(is("starting"))
	all := m.addresses("")
	if len(all) == 0 {
		m.t.Fatal("it has no address")
	}
	return all[0]
}

// workers are the PIDs of those that are ready, by slot.
func (m *tine) workers(app string) map[int]int {
	pids := map[int]int{}
	gone := map[int]bool{}
	m.since(0, func(e event) bool {
		if app != "" && e.App != app {
			return false
		}
		switch e.Message {
		case "ready":
			pids[e.Slot] = e.PID
		case "exited", "draining":
			if pids[e.Slot] == e.PID {
				gone[e.PID] = true
			}
		}
		return false
	})
	for slot, pid := range pids {
		if gone[pid] {
			delete(pids, slot)
		}
	}
	return pids
}

// one connection a request, and no second try behind a test's back.
var fresh = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// body gets a path of the app's address.
func (m *tine) body(path string) (string, error) { return fetch(fresh, "http://"+m.address()+path) }

// must is body of a request that has to succeed.
func (m *tine) must(path string) string {
	m.t.Helper()
	b, err := m.body(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// who returns the identity that one of the workers answers with.
func (m *tine) who() about {
	m.t.Helper()
	return parseAbout(m.t, m.must("/"))
}

func parseAbout(t *testing.T, text string) (a about) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("no answer of a worker: %q", text)
	}
	return a
}

// ask asks one worker in person, past the app's sockets.
func (m *tine) ask(pid int, path string, post ...string) (string, error) {
	via := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", controlPath(m.dir, pid))
		}}}
	if len(post) > 0 {
		r, err := via.Post("http://"+askedInPerson+path, "", strings.NewReader(post[0]))
		return outcome(r, err)
	}
	return fetch(via, "http://"+askedInPerson+path)
}

func (m *tine) mustAsk(pid int, path string, post ...string) string {
	m.t.Helper()
	b, err := m.ask(pid, path, post...)
	if err != nil {
		m.t.Fatalf("worker %d: %v", pid, err)
	}
	return b
}

func fetch(c *http.Client, url string) (string, error) { return outcome(c.Get(url)) }

func outcome(r *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = &refusedError{r.StatusCode, string(b)}
	}
	return string(b), err
}

// refusedError is an answer with another status than 200.
type refusedError struct {
	status int
	body   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.body) }

// load asks the app again and again until it is ended, with new connections and with
// kept-alive ones.
type load struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	served atomic.Int64
	mu     sync.Mutex
	failed []error
	pids   map[int]bool
}

func (m *tine) load(clients int) *load { return loadOn(m.address(), clients) }

// steadily is load that leaves the machine to others: such a test counts lost requests, and not served ones.
func (m *tine) steadily(clients int) *load {
	return pacedLoadOn(m.address(), clients, 4*time.Millisecond)
}

func loadOn(address string, clients int) *load { return pacedLoadOn(address, clients, 0) }

// pacedLoadOn pauses after each request of a client.
func pacedLoadOn(address string, clients int, pause time.Duration) *load {
	l := &load{stop: make(chan struct{}), pids: map[int]bool{}}
	target := "http://" + address + "/"
	for i := range clients {
		c := fresh
		if i%2 == 1 {
			// A POST is never sent twice by net/http, so that every failure shows.
			c = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
		}
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					c.CloseIdleConnections()
					return
				default:
				}
				text, err := outcome(c.Post(target, "", strings.NewReader("x")))
				l.served.Add(1)
				var a about
				if err == nil {
					err = json.Unmarshal([]byte(text), &a)
				}
				l.mu.Lock()
				if err != nil {
					l.failed = append(l.failed, err)
				}
				l.pids[a.PID] = true
				l.mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	return l
}

// end returns the failures.
func (l *load) end() []error {
	close(l.stop)
	l.wg.Wait()
	return l.failed
}

// lossless ends the load and fails the test for any request that failed.
func (l *load) lossless(t *testing.T) {
	t.Helper()
	if failed := l.end(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failed), l.served.Load(), failed[0])
	}
	if l.served.Load() == 0 {
		t.Error("no request was made")
	}
}

// roll orders a rollout and waits for its end.
func (m *tine) roll() event {
	m.t.Helper()
	mark := m.mark()
	m.signal(syscall.SIGUSR2)
	return m.awaitFrom(mark, is("rollout done"))
}

// freePort reserves nothing: it is a port that was free a moment ago, for the few
// tests that must name one.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		// Below those that the kernel gives to others at any moment, and each one once.
		port := 16000 + rand.IntN(16000)
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var givenPorts sync.Map

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// gone reports whether a process has ended; a zombie has.
func gone(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, tail, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(tail, "Z") || strings.HasPrefix(tail, "X")
}

func values(m map[int]int) []int {
	var all []int
	for _, v := range m {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}

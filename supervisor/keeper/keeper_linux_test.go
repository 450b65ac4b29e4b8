package keeper

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// house is a keeper with what runs below it. The test is told by everybody who starts, and orders them about.
type house struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *logText
	peers  chan *peer
	ended  chan struct{}
	mu     sync.Mutex
	all    []*peer
	accept sync.WaitGroup

	succeeded bool // another process is the keeper
}

// peer is a process below the keeper.
type peer struct {
	t       *testing.T
	role    string
	pid     int
	parent  int
	came    time.Time
	conn    net.Conn
	replies chan string
	events  chan string
	gone    chan struct{}
}

// prepare may change how the keeper is started; nil: nothing.
func newHouse(t *testing.T, o Options, prepare func(*exec.Cmd)) *house {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "keeper") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "control")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, log: &logText{came: make(chan struct{}, 1)}, peers: make(chan *peer, 100), ended: make(chan struct{})}
	if o.Command == "" {
		o.Command = exe
	}
	o.Args = []string{exe}
	// The race detector lets each process that ends sleep for a second.
	env := append(os.Environ(), controlKey+"="+path, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	o.Env = append(slices.Clone(env), roleKey+"=master")
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	h.cmd = exec.Command(exe)
	h.cmd.Env = append(env, roleKey+"=keeper", optionsKey+"="+string(text))
	// A pipe of our own: Wait would wait for everybody who has inherited that of os/exec.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.cmd.Stdout, h.cmd.Stderr = w, w
	h.accept.Go(func() {
		io.Copy(h.log, r)
		r.Close()
	})
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := h.cmd.StdinPipe(); err != nil { // the keeper ends with it, also if the test is killed
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(h.cmd)
	}
	h.accept.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			h.accept.Go(func() { h.greet(conn) })
		}
	})
	err = h.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		h.cmd.Wait()
		close(h.ended)
	}()
	t.Cleanup(func() {
		listener.Close()
		h.cmd.Process.Kill()
		h.mu.Lock()
		for _, p := range h.all {
			p.conn.Close() // which ends it
			select {
			case <-p.gone:
			default:
				syscall.Kill(p.pid, syscall.SIGKILL) // also if it is suspended
			}
		}
		h.mu.Unlock()
		<-h.ended
		h.accept.Wait()
		if t.Failed() {
			t.Logf("the log:\n%s", h.log.text())
		}
	})
	return h
}

func (h *house) greet(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		conn.Close()
		return
	}
	p := &peer{t: h.t, conn: conn, came: time.Now(), replies: make(chan string, 100), events: make(chan string, 1000), gone: make(chan struct{})}
	fmt.Sscan(lines.Text(), &p.role, &p.pid, &p.parent)
	h.mu.Lock()
	h.all = append(h.all, p)
	h.mu.Unlock()
	h.peers <- p
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "!"); ok {
			p.events <- event
		} else {
			p.replies <- lines.Text()
		}
	}
	close(p.gone)
	conn.Close()
}

// next is the next process that starts.
func (h *house) next(role string) *peer {
	h.t.Helper()
	select {
	case p := <-h.peers:
		if p.role != role {
			h.t.Fatalf("a %s has started, not a %s", p.role, role)
		}
		return p
	case <-h.ended:
		if !h.succeeded {
			h.t.Fatalf("the keeper has ended: %s; waiting for a %s", h.cmd.ProcessState, role)
		}
		select {
		case p := <-h.peers:
			return p
		case <-time.After(eventually.Patience()):
			h.t.Fatalf("no %s within %s of the end of the first keeper", role, eventually.Patience())
		}
	case <-time.After(eventually.Patience()):
		h.t.Fatalf("no %s within %s", role, eventually.Patience())
	}
	return nil
}

// ready is the next master, which says that it is ready.
func (h *house) ready() *peer {
	h.t.Helper()
	p := h.next("master")
	p.do("notify READY=1")
	p.do("barrier")
	return p
}

func (h *house) signal(sig syscall.Signal) {
	h.t.Helper()
	if err := h.cmd.Process.Signal(sig); err != nil {
		h.t.Fatal(err)
	}
}

// code is the exit code of the keeper.
func (h *house) code() int {
	h.t.Helper()
	select {
	case <-h.ended:
	case <-time.After(eventually.Patience()):
		h.t.Fatalf("the keeper has not ended within %s", eventually.Patience())
	}
	return h.cmd.ProcessState.ExitCode()
}

func (h *house) wantCode(want int) {
	h.t.Helper()
	if got := h.code(); got != want {
		h.t.Errorf("exit code %d, want %d", got, want)
	}
}

// send orders; the answer is not waited for.
func (p *peer) send(order string) {
	p.t.Helper()
	p.conn.SetWriteDeadline(time.Now().Add(eventually.Patience()))
	if _, err := fmt.Fprintln(p.conn, order); err != nil {
		p.t.Fatalf("%s %d, %s: %v", p.role, p.pid, order, err)
	}
}

func (p *peer) ask(order string) string {
	p.t.Helper()
	p.send(order)
	select {
	case reply := <-p.replies:
		return reply
	case <-p.gone:
		p.t.Fatalf("%s %d has ended instead of: %s", p.role, p.pid, order)
	case <-time.After(eventually.Patience()):
		p.t.Fatalf("%s %d has not answered within %s: %s", p.role, p.pid, eventually.Patience(), order)
	}
	return ""
}

func (p *peer) want(order, want string) {
	p.t.Helper()
	if got := p.ask(order); got != want {
		p.t.Fatalf("%s %d, %s: %.2000q, want %.2000q", p.role, p.pid, order, got, want)
	}
}

func (p *peer) do(order string) {
	p.t.Helper()
	p.want(order, "ok")
}

func (p *peer) spawn(h *house, role string) *peer {
	p.t.Helper()
	p.send("spawn " + role)
	child := h.next(role)
	if reply := <-p.replies; reply != strconv.Itoa(child.pid) {
		p.t.Fatalf("spawned %s, but %d has started", reply, child.pid)
	}
	return child
}

func (p *peer) wantSignal(sig syscall.Signal) {
	p.t.Helper()
	select {
	case got := <-p.events:
		if want := fmt.Sprintf("signal %d", int(sig)); got != want {
			p.t.Fatalf("%s %d got %s, want %s", p.role, p.pid, got, want)
		}
	case <-p.gone:
		p.t.Fatalf("%s %d has ended before %s", p.role, p.pid, sig)
	case <-time.After(eventually.Patience()):
		p.t.Fatalf("%s %d: no %s within %s", p.role, p.pid, sig, eventually.Patience())
	}
}

// silent sees that no signal comes for so long.
func (p *peer) silent(d time.Duration) {
	p.t.Helper()
	select {
	case got := <-p.events:
		p.t.Fatalf("%s %d got %s", p.role, p.pid, got)
	case <-p.gone:
		p.t.Fatalf("%s %d has ended", p.role, p.pid)
	case <-time.After(d):
	}
}

func (p *peer) kill() {
	p.t.Helper()
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	p.wantGone()
}

func (p *peer) wantGone() {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(eventually.Patience()):
		p.t.Fatalf("%s %d is still there after %s", p.role, p.pid, eventually.Patience())
	}
}

// logText is what the keeper and those below it print.
type logText struct {
	mu   sync.Mutex
	all  bytes.Buffer
	came chan struct{}
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.all.Write(b)
	l.mu.Unlock()
	select {
	case l.came <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *logText) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (h *house) wantLog(part string) {
	h.t.Helper()
	timeout := time.After(eventually.Patience())
	for !strings.Contains(h.log.text(), part) {
		select {
		case <-h.log.came:
		case <-timeout:
			h.t.Fatalf("no line %q within %s", part, eventually.Patience())
		}
	}
}

// zombies counts those of a parent.
func zombies(t *testing.T, parent int) (n int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		rest := text[bytes.LastIndexByte(text, ')')+1:]
		if fields := strings.Fields(string(rest)); fields[0] == "Z" && fields[1] == strconv.Itoa(parent) {
			n++
		}
	}
	return n
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("process %d is gone", pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

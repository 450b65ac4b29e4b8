//go:build unix

// Package story plays an example from beginning to end: it starts Tine with the config of the example, and servers that the example
// is about, asks as a client does, and says each thing that it sees in one line.
//
//	s := story.Begin("pinus")
//	defer s.End()
//	s.Tine(map[string]string{":3014": s.Free()})   // the example's tine.yaml, on other addresses
//	s.Says("the gate answers %s", s.Get("/v1/pick?uid=1").Body)
//	s.Holds(ok, "the same user has the same connector")
//
// The first thing that does not hold ends the story, and the program with status 1; what Tine has logged is printed then. Each wait is
// bounded: the whole story has a minute.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// limit bounds the whole story.
	limit = time.Minute
	// pace is the time between two looks at what has no event of its own.
	pace = 10 * time.Millisecond
)

// Story is one that is played. Its methods are for one goroutine.
type Story struct {
	Dir     string // temporary: the config, the control socket, what programs write
	Address string // of the gateway: what paths are below

	name    string
	tine    string // the program
	cmd     *exec.Cmd
	ended   chan struct{} // closed when Tine has ended
	log     *log
	began   time.Time
	cleanup []func()
	client  *http.Client
}

// Begin begins a story. The example's files are in the working folder. TINE names the program; without it Tine is built.
func Begin(name string) *Story {
	s := &Story{name: name, began: time.Now(), log: &log{}}
	s.client = &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var err error
	if s.Dir, err = os.MkdirTemp("", "tine-story-"); err != nil {
		s.fail("cannot make a folder: %v", err)
	}
	s.cleanup = append(s.cleanup, func() { os.RemoveAll(s.Dir) })
	time.AfterFunc(limit, func() {
		fmt.Printf("✗ the story is not over after %s\n%s", limit, s.log.text())
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
		}
		os.Exit(1)
	})
	if s.tine = os.Getenv("TINE"); s.tine == "" {
		s.tine = filepath.Join(s.Dir, "tine")
		s.Run("go", "build", "-o", s.tine, "github.com/tinehq/tine/cmd/tine")
	}
	fmt.Printf("The story of %s\n", name)
	return s
}

// End stops Tine, and the servers, and says that all held.
func (s *Story) End() {
	if r := recover(); r != nil {
		s.close()
		panic(r)
	}
	s.Stop()
	s.close()
	fmt.Printf("All of it held, in %.1f s.\n", time.Since(s.began).Seconds())
}

func (s *Story) close() {
	if s.cmd != nil {
		// Asked first: the workers of a master that is killed would serve on.
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
		s.cmd = nil
	}
	for i := len(s.cleanup) - 1; i >= 0; i-- {
		s.cleanup[i]()
	}
	s.cleanup = nil
}

// Says tells what is seen.
func (s *Story) Says(format string, args ...any) {
	fmt.Printf("  %5.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// Holds says what must be, and ends the story where it is not so.
func (s *Story) Holds(ok bool, format string, args ...any) {
	if !ok {
		s.fail(format, args...)
	}
	s.Says("✓ "+format, args...)
}

// Comes waits until something is so, for at most ten seconds, and says it.
func (s *Story) Comes(is func() bool, format string, args ...any) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(pace) {
		if is() {
			s.Says("✓ "+format, args...)
			return
		}
		if time.Now().After(end) {
			s.fail(format, args...)
		}
	}
}

func (s *Story) fail(format string, args ...any) {
	fmt.Printf("✗ this does not hold: %s\n", fmt.Sprintf(format, args...))
	fmt.Print(s.log.text())
	s.close()
	os.Exit(1)
}

// Free is an address of this host that nothing listens on at the moment.
func (s *Story) Free() string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.fail("cannot find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Server is an HTTP server of the story, which can go away and come back.
type Server struct {
	Address string
	s       *Story
	handler http.Handler
	srv     *http.Server
}

// Serve starts one; address may be "" for a free one.
func (s *Story) Serve(address string, h http.HandlerFunc) *Server {
	if address == "" {
		address = s.Free()
	}
	v := &Server{Address: address, s: s, handler: h}
	v.Start()
	s.cleanup = append(s.cleanup, v.Stop)
	return v
}

// Start has it listen.
func (v *Server) Start() {
	l, err := net.Listen("tcp4", v.Address)
	if err != nil {
		v.s.fail("cannot listen on %s: %v", v.Address, err)
	}
	v.srv = &http.Server{Handler: v.handler, ReadHeaderTimeout: 10 * time.Second}
	go v.srv.Serve(l)
}

// Stop closes its socket and its connections, as a crash would.
func (v *Server) Stop() {
	if v.srv != nil {
		v.srv.Close()
		v.srv = nil
	}
}

// Write puts a file into the story's folder, in one step, so that no reader sees half of it.
func (s *Story) Write(name, text string) string {
	path := filepath.Join(s.Dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.fail("cannot write %s: %v", name, err)
	}
	return path
}

// Read is a file of the example, with texts replaced.
func (s *Story) Read(name string, replace map[string]string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		s.fail("cannot read %s: %v", name, err)
	}
	text := string(b)
	for from, to := range replace {
		if !strings.Contains(text, from) {
			s.fail("%s has no %q to replace", name, from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// Tine runs the example's tine.yaml, with texts replaced, from the story's folder, and waits until it is ready. address is the
// gateway's.
func (s *Story) Tine(address string, replace map[string]string) {
	s.Write("tine.yaml", s.Read("tine.yaml", replace))
	s.Address = address
	s.cmd = exec.Command(s.tine, "run", "-c", "tine.yaml", "--log-format", "text", "--keeper", "off")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, s.log, s.log
	s.cmd.Env = append(os.Environ(), "TINE_CONTROL="+filepath.Join(s.Dir, "control.sock"))
	if err := s.cmd.Start(); err != nil {
		s.fail("cannot start %s: %v", s.tine, err)
	}
	s.ended = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	s.Comes(func() bool { return s.log.has("all workers are ready") }, "Tine runs this config and is ready")
}

// Reload has Tine read its config again.
func (s *Story) Reload() { _ = s.cmd.Process.Signal(syscall.SIGHUP) }

// Stop stops Tine, which must end with 0.
func (s *Story) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		s.fail("Tine ends within 20 s of SIGTERM")
	}
	code := s.cmd.ProcessState.ExitCode()
	s.cmd = nil
	s.Holds(code == 0, "Tine has stopped, with exit code %d", code)
}

// Cmd runs a command of Tine and returns what it prints.
func (s *Story) Cmd(args ...string) string { return s.Run(s.tine, args...) }

// Run runs a program to its end and returns what it prints. It must succeed.
func (s *Story) Run(program string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "TINE_CONTROL="+filepath.Join(s.Dir, "control.sock"), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.fail("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Process starts a program that runs until the story ends.
func (s *Story) Process(cmd *exec.Cmd) {
	if err := cmd.Start(); err != nil {
		s.fail("cannot start %s: %v", cmd.Path, err)
	}
	s.cleanup = append(s.cleanup, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// Logged reports whether Tine or one of its workers has logged a text.
func (s *Story) Logged(text string) bool { return s.log.has(text) }

// Answer is an answer over HTTP. Err is why there is none.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error
}

// Get asks the gateway for a path. headers are pairs of a name and a value. Redirects are not followed.
func (s *Story) Get(path string, headers ...string) Answer {
	return s.Do(http.MethodGet, path, "", headers...)
}

// Do asks with a method and a body.
func (s *Story) Do(method, path, body string, headers ...string) Answer {
	url := path
	if strings.HasPrefix(path, "/") {
		url = "http://" + s.Address + path
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Answer{Err: err}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	res, err := s.client.Do(r)
	if err != nil {
		return Answer{Err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return Answer{res.StatusCode, res.Header, string(b), err}
}

// OK reports whether the answer came, with status 200.
func (a Answer) OK() bool { return a.Err == nil && a.Status == http.StatusOK }

// log is what Tine has printed.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 8<<20 {
		return 0, errors.New("too much is logged")
	}
	return l.b.Write(b)
}

func (l *log) has(text string) bool { return strings.Contains(l.text(), text) }

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/tinehq/tine/worker"
)

// patience bounds every wait of the tests.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("DEMO_TEST_MAIN") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// demo is the service in this process, without a master.
type demo struct {
	w   *worker.Worker
	url string
	ret chan error
}

func start(t *testing.T, db string) *demo {
	t.Helper()
	w, err := worker.Start(worker.WithListen("127.0.0.1:0"), worker.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	lns, err := w.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	u := &users{path: db}
	d := &demo{w, "http://" + lns[0].Addr().String(), make(chan error, 1)}
	go func() { d.ret <- w.Serve(newService(w, u).routes()) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		w.Close()
		select {
		case <-d.ret:
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
		u.close()
	})
	return d
}

func (d *demo) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (d *demo) publish(t *testing.T, v any) {
	t.Helper()
	if _, err := d.w.Publish(t.Context(), usersKey, v); err != nil {
		t.Fatal(err)
	}
}

func TestIndexShowsTheValue(t *testing.T) {
	d := start(t, "")
	head := fmt.Sprintf("Handled by process %d.Cached value: ", os.Getpid())
	for _, c := range []struct {
		set  any
		want string
	}{{nil, "none"}, {50, "50"}, {0, "0"}, {1234567, "1234567"}, {"many", "many"}} {
		if c.set != nil {
			d.publish(t, c.set)
		}
		if code, body := d.do(t, "GET", "/", ""); code != 200 || body != head+c.want {
			t.Errorf("after %v: %d %q", c.set, code, body)
		}
	}
}

func TestCacheIsJSON(t *testing.T) {
	d := start(t, "")
	for i, v := range []any{50, "many", 0} {
		d.publish(t, v)
		_, body := d.do(t, "GET", "/cache", "")
		var got struct {
			Epoch int     `json:"epoch"`
			Age   float64 `json:"age_ms"`
			Value any     `json:"value"`
			PID   int     `json:"pid"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if got.Epoch != i+1 || got.Age < 0 || got.PID != os.Getpid() || fmt.Sprint(got.Value) != fmt.Sprint(v) {
			t.Errorf("%s", body)
		}
	}
}

func TestAnswers(t *testing.T) {
	d := start(t, "")
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/spin?n=1e4", "", `^Handled by process \d+\.`},
		{"GET", "/slow?ms=1", "", `^Handled by process \d+\.`},
		{"GET", "/slow?ms=soon", "", "^ms=soon is not a number"},
		{"GET", "/stream?s=0.2", "", `(?s)^0 from process \d+\n1 .*\nend\n$`},
		{"POST", "/upload", "abc", "^3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n$"},
		{"POST", "/users", "", "^started without -db"},
		{"GET", "/nowhere", "", "^404"},
	} {
		if _, body := d.do(t, c.method, c.path, c.body); !regexp.MustCompile(c.want).MatchString(body) {
			t.Errorf("%s %s: %q does not match %s", c.method, c.path, body, c.want)
		}
	}
}

func TestUsersAreCreatedOnceByRacingWorkers(t *testing.T) {
	path := t.TempDir() + "/a b?.db" // a name that means something in a URL
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			u := &users{path: path}
			defer u.close()
			if _, err := u.add(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	u := &users{path: path}
	defer u.close()
	db, err := u.open()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM users").Scan(&n); err != nil || n != firstUsers+8 {
		t.Errorf("%d users, %v", n, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	d := start(t, path)
	if code, body := d.do(t, "POST", "/users?name=eve", ""); code != 201 || !strings.HasPrefix(body, fmt.Sprintf("Added user %d ", n+1)) {
		t.Errorf("%d %q", code, body)
	}
}

func TestEventsEndWithTheDrain(t *testing.T) {
	d := start(t, "")
	d.publish(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", d.url+"/events", nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", want, lines.Err())
	}
	until("data: 1")
	d.publish(t, 2)
	until("data: 2")
	d.w.Leave("test")
	until("event: bye")
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream is cut: %v", err)
	}
}

func TestWebSocketEndsWithTheDrain(t *testing.T) {
	d := start(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, d.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(ctx); string(b) != "hi" || err != nil {
		t.Fatalf("%q %v", b, err)
	}
	d.w.Leave("test")
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("ended with %v", err)
	}
	select {
	case <-d.w.Done():
	case <-ctx.Done():
		t.Error("the drain does not end")
	}
}

// command runs the program itself to its end.
func command(t *testing.T, env []string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), "DEMO_TEST_MAIN=1"), env...)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func TestCommand(t *testing.T) {
	db := t.TempDir() + "/users.db"
	listen := "-listen=127.0.0.1:0"
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		out  string
	}{
		{"setup", nil, []string{"-setup", "-db", db}, 0, ""},
		{"setup without db", nil, []string{"-setup"}, 1, "needs -db"},
		{"bad address", nil, []string{"-listen", "nowhere"}, 1, "cannot listen on nowhere"},
		{"exit before start", []string{"DEMO_EXIT_AFTER=0s", "DEMO_EXIT_CODE=3"}, []string{listen}, 3, ""},
		{"exit after start", []string{"DEMO_EXIT_AFTER=10ms", "DEMO_EXIT_CODE=0"}, []string{listen}, 0, "Started process"},
		{"prints", []string{"DEMO_PRINT=1000", "DEMO_PRINT_COUNTS=" + t.TempDir(), "DEMO_EXIT_AFTER=200ms"}, []string{listen}, 0, "line 4 of process"},
		{"bad rate", []string{"DEMO_PRINT=often"}, []string{listen}, 1, "not a number of lines"},
		{"bad duration", []string{"DEMO_START_DELAY=soon"}, []string{listen}, 1, "not a duration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := command(t, c.env, c.args...)
			if code != c.code || !strings.Contains(out, c.out) {
				t.Errorf("exit %d, output %q; want %d, %q", code, out, c.code, c.out)
			}
		})
	}
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}

// process is the program in a process of its own, on a Unix socket.
type process struct {
	*exec.Cmd
	client *http.Client
}

func spawn(t *testing.T) *process {
	t.Helper()
	sock := t.TempDir() + "/s"
	cmd := exec.Command(os.Args[0], "-listen", "unix:"+sock)
	cmd.Env = append(os.Environ(), "DEMO_TEST_MAIN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	if want := fmt.Sprintf("Started process %d\n", cmd.Process.Pid); line != want {
		t.Errorf("said %q", line)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cmd.Process.Kill()
		cmd.Wait()
		guard.Stop()
	})
	return &process{cmd, &http.Client{Transport: tr, Timeout: patience}}
}

func TestFaultsEndTheProcess(t *testing.T) {
	for path, code := range map[string]int{"/crash?code=7": 7, "/panic": 2} {
		p := spawn(t)
		if res, err := p.client.Get("http://demo" + path); err == nil {
			res.Body.Close()
			t.Errorf("%s was answered with %s", path, res.Status)
		}
		p.Wait()
		if got := p.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit %d", path, got)
		}
	}
}

func TestHangKeepsEveryLaterRequestWaiting(t *testing.T) {
	p := spawn(t)
	p.client.Timeout = 100 * time.Millisecond
	for _, path := range []string{"/hang", "/"} {
		res, err := p.client.Get("http://demo" + path)
		if err == nil {
			res.Body.Close()
			t.Errorf("%s was answered with %s", path, res.Status)
		} else if !os.IsTimeout(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

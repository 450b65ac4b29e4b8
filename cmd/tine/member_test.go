package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/tinehq/tine/worker"
)

// memberMain is the worker of these tests. Its environment says how it starts:
//
//	MEMBER_CONTROL=DIR     serve everything on DIR/PID.sock too, to be asked in person
//	MEMBER_ALONE=ADDR      where to listen when there is no master
//	MEMBER_GATE=FIFO       wait in the start until FIFO is opened for writing
//	MEMBER_EXIT=CODE       exit before attaching
//	MEMBER_NEVER_READY=1   attach but never become ready
//	MEMBER_DONE_AFTER=FIFO exit 0 unasked when FIFO is opened for writing
//	MEMBER_START=DURATION  take so long to be initialised
//	MEMBER_GARBAGE=1       keep a duplicate of the channel, for /garbage
//	MEMBER_DEAF=1          accept in a way that /deaf can end
//	MEMBER_ORPHAN_GRACE=D  drain when there has been no master for so long
//	MEMBER_COUNTS=1        print "count N" every other millisecond, and at the end "counted N"
//	MEMBER_MODE=TEXT       told in the answers
//	MEMBER_BEGUN=FILE      /begin writes a line with the id of each request there
//
// and requests to its own socket control it: see routes.
func memberMain([]string) int {
	m := &member{channel: -1}
	if fd, err := strconv.Atoi(os.Getenv("TINE_CHANNEL_FD")); err == nil && os.Getenv("MEMBER_GARBAGE") != "" {
		m.channel, _ = syscall.Dup(fd)
		syscall.CloseOnExec(m.channel)
	}
	waitAt(os.Getenv("MEMBER_GATE"))
	if text := os.Getenv("MEMBER_EXIT"); text != "" {
		code, _ := strconv.Atoi(text)
		fmt.Fprintln(os.Stderr, "told to exit at the start")
		return code
	}
	opts := []worker.Option{worker.WithListen(os.Getenv("MEMBER_ALONE"))}
	if d, err := time.ParseDuration(os.Getenv("MEMBER_ORPHAN_GRACE")); err == nil {
		opts = append(opts, worker.WithOrphanGrace(d, worker.OrphanDrain))
	}
	if os.Getenv("MEMBER_NEVER_READY") != "" {
		opts = append(opts, worker.WithManualReady())
	}
	w, err := worker.Start(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		return 1
	}
	m.w = w
	w.OnMessage(func(msg worker.Message) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.messages = append(m.messages, msg.Topic+"="+string(msg.Data))
	})
	if dir := os.Getenv("MEMBER_CONTROL"); dir != "" {
		ln, err := net.Listen("unix", controlPath(dir, os.Getpid()))
		if err != nil {
			fmt.Fprintln(os.Stderr, "member:", err)
			return 1
		}
		go http.Serve(ln, m.routes())
	}
	if fifo := os.Getenv("MEMBER_DONE_AFTER"); fifo != "" {
		go func() { waitAt(fifo); os.Exit(0) }()
	}
	if d, err := time.ParseDuration(os.Getenv("MEMBER_START")); err == nil {
		time.Sleep(d)
	}
	if os.Getenv("MEMBER_COUNTS") != "" {
		defer countLines()()
	}
	if err := m.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		return 1
	}
	return 0
}

// countLines prints numbers, from 1 on, until it is told to end, and then how many they were.
func countLines() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for n := 1; ; n++ {
			fmt.Printf("count %d\n", n)
			select {
			case <-stop:
				fmt.Printf("counted %d\n", n)
				return
			case <-pace.C:
			}
		}
	}()
	return func() { close(stop); <-ended }
}

func (m *member) serve() error {
	if os.Getenv("MEMBER_DEAF") == "" {
		return m.w.Serve(m.routes())
	}
	lns, err := m.w.Listeners()
	if err != nil {
		return err
	}
	for i, ln := range lns {
		lns[i] = deafListener{ln, &m.deaf}
	}
	return m.w.ServeServer(&http.Server{Handler: m.routes()}, lns...)
}

// deafListener accepts no more once the lock is held, but for the one
// connection that it waits for already.
type deafListener struct {
	net.Listener
	deaf *sync.Mutex
}

func (l deafListener) Accept() (net.Conn, error) {
	l.deaf.Lock()
	l.deaf.Unlock() //lint:ignore SA2001 only to pass
	return l.Listener.Accept()
}

// askedInPerson is the host of requests to a member's own socket.
const askedInPerson = "member"

func controlPath(dir string, pid int) string {
	return filepath.Join(dir, strconv.Itoa(pid)+".sock")
}

// waitAt waits until a process has the FIFO open for writing.
func waitAt(fifo string) {
	if fifo == "" {
		return
	}
	if f, err := os.Open(fifo); err == nil {
		f.Close()
	}
}

type member struct {
	w       *worker.Worker
	channel int          // a duplicate of its end, to break rules with
	deaf    sync.Mutex   // held: it accepts no more
	block   sync.RWMutex // held: it answers only at its own socket

	mu       sync.Mutex
	messages []string
	values   map[string]*worker.Value[string]
}

// about is the answer to "/".
type about struct {
	PID, Slot          int
	Worker, Generation uint64
	App, Mode, Program string
}

func (m *member) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		if r.Host != askedInPerson {
			m.block.RLock()
			m.block.RUnlock() //lint:ignore SA2001 only to pass
		}
		exe, _ := os.Executable()
		json.NewEncoder(rw).Encode(about{
			PID: os.Getpid(), Slot: m.w.Slot(), Worker: m.w.ID(), Generation: m.w.Generation(),
			App: m.w.App(), Mode: os.Getenv("MEMBER_MODE"), Program: exe,
		})
	})
	mux.HandleFunc("/slow", func(rw http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.FormValue("ms"))
		fmt.Fprint(rw, ".") // shows that the request has begun
		http.NewResponseController(rw).Flush()
		time.Sleep(time.Duration(ms) * time.Millisecond)
		fmt.Fprint(rw, ".")
	})
	mux.HandleFunc("/begin", func(rw http.ResponseWriter, r *http.Request) {
		f, err := os.OpenFile(os.Getenv("MEMBER_BEGUN"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(f, r.FormValue("id"))
			f.Close()
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		time.Sleep(2 * time.Millisecond) // what the request is about
	})
	mux.HandleFunc("/block", func(http.ResponseWriter, *http.Request) { m.block.Lock() })
	mux.HandleFunc("/unblock", func(http.ResponseWriter, *http.Request) { m.block.Unlock() })
	mux.HandleFunc("/deaf", func(http.ResponseWriter, *http.Request) { m.deaf.Lock() })
	mux.HandleFunc("/upload", func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		fmt.Fprint(rw, n)
	})
	mux.HandleFunc("/events", m.events)
	mux.HandleFunc("/ws", m.echo)
	mux.HandleFunc("/value", func(rw http.ResponseWriter, r *http.Request) {
		v := m.value(r.FormValue("key"))
		text, ok := v.Get()
		if !ok {
			http.Error(rw, "no such value", http.StatusNotFound)
			return
		}
		fmt.Fprintf(rw, "%d %s", v.Info().Epoch, text)
	})
	mux.HandleFunc("/publish", m.publish)
	mux.HandleFunc("/messages", func(rw http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		fmt.Fprint(rw, strings.Join(m.messages, "\n"))
	})
	mux.HandleFunc("/env", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, os.Getenv(r.FormValue("name"))) })
	mux.HandleFunc("/exit", func(rw http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		os.Exit(code)
	})
	mux.HandleFunc("/print", func(rw http.ResponseWriter, r *http.Request) {
		to := os.Stdout
		if r.FormValue("to") == "stderr" {
			to = os.Stderr
		}
		io.Copy(to, r.Body)
	})
	mux.HandleFunc("/grandchild", func(rw http.ResponseWriter, r *http.Request) {
		c := exec.Command("sleep", "600")
		if err := c.Start(); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(rw, c.Process.Pid)
	})
	mux.HandleFunc("/garbage", func(rw http.ResponseWriter, r *http.Request) {
		if r.FormValue("kind") == "closed" {
			syscall.Shutdown(m.channel, syscall.SHUT_RDWR)
			return
		}
		b := bytes.Repeat([]byte{0xff}, 64)
		if r.FormValue("kind") == "oversized" {
			b = append(binary.BigEndian.AppendUint32(nil, 512<<20), 8, 0, 0, 0) // a message of 512 MiB
		}
		if _, err := syscall.Write(m.channel, b); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	})
	for _, add := range moreRoutes {
		add(m, mux)
	}
	return mux
}

// moreRoutes are those that not every system has.
var moreRoutes []func(m *member, mux *http.ServeMux)

func (m *member) value(key string) *worker.Value[string] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]*worker.Value[string]{}
	}
	if m.values[key] == nil {
		m.values[key] = worker.Cached[string](m.w, key)
	}
	return m.values[key]
}

// publish sets keys k0..k19 in turn, or as many as keys= has: from= to, of size= bytes each. It answers the last epoch.
func (m *member) publish(rw http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.FormValue("from"))
	to, _ := strconv.Atoi(r.FormValue("to"))
	size, _ := strconv.Atoi(r.FormValue("size"))
	keys := 20
	if n, err := strconv.Atoi(r.FormValue("keys")); err == nil {
		keys = n
	}
	var epoch uint64
	for i := from; i < to; i++ {
		text := strconv.Itoa(i)
		var err error
		epoch, err = m.w.Publish(r.Context(), "k"+strconv.Itoa(i%keys), text+strings.Repeat(" ", max(size-len(text), 0)))
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	fmt.Fprint(rw, epoch)
}

// events is a stream that ends politely when the worker drains, unless rude=1.
func (m *member) events(rw http.ResponseWriter, r *http.Request) {
	draining := m.w.Draining()
	if r.FormValue("rude") != "" {
		draining = nil
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(rw, "data: %d\n\n", os.Getpid())
	http.NewResponseController(rw).Flush()
	select {
	case <-draining:
		fmt.Fprint(rw, "event: bye\n\n")
	case <-r.Context().Done():
	}
}

func (m *member) echo(rw http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	go func() {
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}()
	<-m.w.Draining()
	c.Close(websocket.StatusGoingAway, "draining")
}

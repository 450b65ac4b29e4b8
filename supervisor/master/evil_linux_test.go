package master

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// evilRole makes the test binary a worker that misuses what it shares with the master and with others: the value is how, and
// a path. It serves before. What it does it does once, when a word comes over the pipe PATH.go, and it says that by another at
// PATH.done; those who come after it find no pipe, and only serve.
const evilRole = "TEST_EVIL"

func init() { children[evilRole] = runEvil }

// evilWorker is what one holds, beside the numbers of its descriptors.
type evilWorker struct {
	conn     *ipc.Conn
	order    ipc.Assign
	channel  int
	lifeline int
	hot      []byte
	rows     []byte
}

func runEvil(how string) {
	how, argument, _ := strings.Cut(how, " ")
	w := &evilWorker{channel: mustDup(ipc.EnvChannel), lifeline: mustDup(ipc.EnvLifeline)}
	conn, err := ipc.FromEnv()
	must(err)
	w.conn = conn
	must(conn.Write(ipc.Hello{Protocol: ipc.Protocol, PID: os.Getpid(), Library: "evil"}))
	for w.order.Files == nil {
		f, err := conn.Read()
		must(err)
		if order, ok := f.(ipc.Assign); ok {
			w.order = order
		}
	}
	w.hot, err = unix.Mmap(int(w.order.Hot.Fd()), 0, ipc.BoardBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	w.rows, err = unix.Mmap(int(w.order.Rows.Fd()), 0, int(ipc.RowsBytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	for _, f := range w.order.Files {
		l, err := net.FileListener(f)
		must(err)
		go http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, os.Getpid()) }))
	}
	must(conn.Write(ipc.Ready{}))
	for {
		f, err := conn.Read()
		must(err)
		if m, ok := f.(ipc.Message); ok && m.Topic == "greeting" {
			break // now all are ready
		}
	}
	if how == "exit" {
		w.exitWhenTold(argument)
	}
	go func() {
		if _, err := os.ReadFile(argument + ".go"); err == nil {
			evils[how](w)
			_ = os.WriteFile(argument+".done", []byte("done"), 0)
		}
	}()
	for {
		f, err := conn.Read()
		if err != nil {
			break
		}
		if _, ok := f.(ipc.Drain); ok {
			os.Exit(0)
		}
	}
	w.renew()
}

// renew goes on with the channels of masters that come later, as far as there are any.
func (w *evilWorker) renew() {
	lines, err := ipc.RenewalsFromEnv()
	must(err)
	for {
		conn, err := lines.Next()
		if err != nil {
			time.Sleep(time.Hour) // it does not go by itself
		}
		_ = conn.Write(ipc.Hello{Protocol: ipc.Protocol, PID: os.Getpid(), Library: "evil", State: ipc.StateReady,
			App: "good", Slot: w.order.Slot, Seat: w.order.Seat, Worker: 1})
		for {
			f, err := conn.Read()
			if err != nil {
				break
			}
			if _, ok := f.(ipc.Drain); ok {
				os.Exit(0)
			}
		}
	}
}

// exitWhenTold says that it is about to end, waits for a word at a pipe, or for the end of its channel where there is none,
// and exits as it is told.
func (w *evilWorker) exitWhenTold(argument string) {
	pipe, code, _ := strings.Cut(argument, " ")
	if pipe == "eof" {
		for {
			if _, err := w.conn.Read(); err != nil {
				break
			}
		}
	} else {
		word, err := os.ReadFile(pipe)
		must(err)
		code = strings.TrimSpace(string(word))
	}
	n := 0
	fmt.Sscan(code, &n)
	fmt.Printf("last words of %d\n", os.Getpid())
	os.Exit(n)
}

// evils are what one may do to what it shares. Each returns.
var evils = map[string]func(*evilWorker){
	"listenshut":   func(w *evilWorker) { w.eachListener(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }) },
	"listenblocks": func(w *evilWorker) { w.eachListener(func(fd int) error { return unix.SetNonblock(fd, false) }) },
	"listenagain":  func(w *evilWorker) { w.eachListener(func(fd int) error { return unix.Listen(fd, 0) }) },
	"shutagain": func(w *evilWorker) {
		w.eachListener(func(fd int) error {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
			return unix.Listen(fd, 0)
		})
	},
	"filter": func(w *evilWorker) {
		w.eachListener(func(fd int) error { return program(fd, unix.SO_ATTACH_FILTER, 0) })
	},
	"steer": func(w *evilWorker) {
		w.eachListener(func(fd int) error { return program(fd, unix.SO_ATTACH_REUSEPORT_CBPF, 7) })
	},
	"noreuse": func(w *evilWorker) {
		w.eachListener(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 0) })
	},
	"board-magic":  func(w *evilWorker) { w.hot[0] ^= 0xff },
	"board-header": func(w *evilWorker) { _, _ = rand.Read(w.hot[:192]) },
	"board-random": func(w *evilWorker) { _, _ = rand.Read(w.hot); _, _ = rand.Read(w.rows[:64*4096]) },
	"board-neg": func(w *evilWorker) {
		w.eachLine(func(line []byte) {
			for at := 0; at < 48; at += 8 {
				binary.LittleEndian.PutUint64(line[at:], 1<<63+uint64(at))
			}
		})
	},
	"board-flags":  func(w *evilWorker) { w.eachLine(func(line []byte) { binary.LittleEndian.PutUint64(line[48:], 1) }) },
	"board-asleep": func(w *evilWorker) { binary.LittleEndian.PutUint64(w.hot[128:], 1<<62) },
	"board-rows":   func(w *evilWorker) { clear(w.rows[:64*4096]) },
	"hellos": func(w *evilWorker) {
		for range 100 {
			w.write(w.channel, []byte("\x00\x00\x00\x4f\x01\x00\x00\x00" + `{"protocol":1,"pid":1,"state":"ready","slot":4611686018427387904,"seat":1,"x":1}`)[:8+79])
		}
	},
	"lifegarbage": func(w *evilWorker) { w.write(w.lifeline, make([]byte, 1<<16)) },
	"lifeclose":   func(w *evilWorker) { _ = unix.Shutdown(w.lifeline, unix.SHUT_RDWR) },
	"half":        func(w *evilWorker) { w.write(w.channel, []byte("\x00\x00\xff\x00\x05\x00\x00\x00half")) },
	"garbage": func(w *evilWorker) {
		b := make([]byte, 1<<16)
		_, _ = rand.Read(b)
		w.write(w.channel, b)
	},
	"forkinherit": func(w *evilWorker) {
		// A stranger that holds the channel, the lifeline and the output on, as a shell's background job does.
		c := exec.Command("sleep", "20")
		c.ExtraFiles = []*os.File{os.NewFile(uintptr(w.channel), "channel"), os.NewFile(uintptr(w.lifeline), "lifeline")}
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		must(c.Start())
	},
	"closed": func(w *evilWorker) { _ = unix.Shutdown(w.channel, unix.SHUT_RDWR) },
}

func (w *evilWorker) eachListener(do func(fd int) error) {
	for _, f := range w.order.Files {
		must(do(int(f.Fd())))
	}
}

func (w *evilWorker) eachLine(do func(line []byte)) {
	for slot := range 8 {
		at := ipc.LinesOffset + slot*ipc.LineBytes
		do(w.hot[at : at+ipc.LineBytes])
	}
}

// write writes as long as there is room: nobody may read.
func (w *evilWorker) write(fd int, b []byte) { _, _ = unix.Write(fd, b) }

// program attaches a filter that returns a constant.
func program(fd, option int, value uint32) error {
	f := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: value}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option, &unix.SockFprog{Len: 1, Filter: &f[0]})
}

func mustDup(variable string) int {
	n := -1
	fmt.Sscan(os.Getenv(variable), &n)
	d, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 10)
	must(err)
	return d
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "evil worker:", err)
		os.Exit(1)
	}
}

// freeze stops a process, and returns when all its threads are: until then one may still reap a child or read a frame.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the process is stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if _, rest, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return err == nil && len(threads) > 0
	})
}

// isGone says whether a process has ended, whether it is reaped or not.
func isGone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || syscall.Kill(pid, 0) != nil
}

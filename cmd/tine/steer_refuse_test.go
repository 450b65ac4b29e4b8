//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/keeper"
	"golang.org/x/sys/unix"
)

// A tine that some day, or from the start, may make no bpf(2) any more, as in a
// container with such a filter:
//
//	FENCE_GATE=FIFO   the day is when FIFO is opened for writing
func init() {
	roles["fenced"] = func(args []string) int {
		keeper.Main()
		fence := func() {
			if err := refuseBPF(); err != nil {
				fmt.Fprintf(os.Stderr, `{"message":"no fence","error":%q}`+"\n", err)
				return
			}
			fmt.Fprintln(os.Stderr, `{"message":"fenced"}`)
		}
		if fifo := os.Getenv("FENCE_GATE"); fifo != "" {
			go func() { waitAt(fifo); fence() }()
		} else {
			fence()
		}
		return run(args)
	}
}

// refuseBPF makes bpf(2) fail with EPERM in all threads, and in all that they start.
func refuseBPF() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // nr, the first field of struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_BPF, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil && os.Getuid() != 0 {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

var fencedPart = sync.OnceValues(func() (string, error) { return part(filepath.Dir(tinePath), "fenced") })

func startFenced(t *testing.T, config string, opts ...option) *tine {
	t.Helper()
	fenced, err := fencedPart()
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	write(t, dir, "tine.yaml", config)
	m := startProgram(t, dir, fenced, []string{"run", "-c", "tine.yaml"}, opts...)
	m.await(is("all workers are ready"))
	return m
}

// fenced waits for the day.
func (m *tine) fenced() {
	m.t.Helper()
	e := m.await(func(e event) bool { return e.Message == "fenced" || e.Message == "no fence" })
	if e.Error != "" {
		m.t.Skipf("SKIPPED: %s: bpf(2) cannot be refused here: %s", m.t.Name(), e.Error)
	}
}

// TestBPFRefused: from the start on, and in the middle of the load; the next kind takes
// over, which the log shows, and no request is lost.
func TestBPFRefused(t *testing.T) {
	t.Run("FromTheStart", func(t *testing.T) {
		t.Parallel()
		m := startFenced(t, steered(2, "$CALM"))
		m.fenced()
		if e := m.await(is("starting")); e.Steering != "cbpf" {
			t.Errorf("steering is %q, want cbpf: %s", e.Steering, e.Raw)
		}
		l := m.load(4)
		m.roll()
		l.lossless(t)
		m.stop()
	})
	t.Run("InTheMiddle", func(t *testing.T) {
		t.Parallel()
		fence := fifo(t, folder(t), "fence")
		m := startFenced(t, steered(2, "steering: ebpf", "$CALM"), withEnv("FENCE_GATE="+fence))
		m.of("ebpf")
		l := m.load(4)
		m.evenly(2)
		openGate(t, fence)
		m.fenced()
		mark := m.mark()
		m.signal(syscall.SIGTTIN) // the third slot's socket cannot become one of the program's
		e := m.awaitFrom(mark, func(e event) bool { return e.Steering == "cbpf" })
		if e.Level != "warn" || e.Reason == "" {
			t.Errorf("the fall is not explained: %s", e.Raw)
		}
		m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 2 })
		for slot := range 3 {
			m.answered(m.workers("")[slot])
		}
		m.roll()
		m.signal(syscall.SIGTTOU)
		m.awaitFrom(mark, is("retired"))
		l.lossless(t)
		m.stop()
	})
}

// dialOnce is a connection that may fail.
func dialOnce(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// TestOverload: all workers busy to the bound, the next connection is refused at once,
// which is counted, or waits, by the config.
func TestOverload(t *testing.T) {
	app := func(onOverload string) *supervisor.Config {
		c := config.Single("web", []string{"127.0.0.1:0"}, 2, []string{memberPath})
		a := &c.Apps[0]
		a.OverloadAt, a.OnOverload = 3, onOverload
		return c
	}
	refused := func(t *testing.T, e *embedded) uint64 {
		st, err := e.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s := st.Apps[0].Steering; s.Kind != "ebpf" {
			t.Skipf("SKIPPED: %s: steering is %s here, and only ebpf refuses", t.Name(), s.Kind)
		}
		return st.Apps[0].Steering.Refused
	}
	t.Run("refuse", func(t *testing.T) {
		t.Parallel()
		e := startEmbedded(t, app("refuse"))
		var full held
		eventually.True(t, "both workers are full", func() bool { // the second gets none before the kernel is told of it
			if c, err := dialOnce(e.address()); err == nil {
				full = append(full, c)
			}
			return len(full) == 6
		})
		before := refused(t, e)
		for i := range 5 {
			c, err := dialOnce(e.address())
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("beyond the bound a connection is not refused: %v %v", c, err)
			}
			if n := refused(t, e); n != before+uint64(i+1) {
				t.Errorf("%d refused connections are counted, want %d", n, before+uint64(i+1))
			}
		}
		answers, silent := full[:1].ask(t, patience)
		if len(silent) > 0 || len(answers) != 1 {
			t.Error("who was not refused is not served")
		}
		// There is room now, as soon as the worker has reported it.
		eventually.True(t, "a connection is taken again", func() bool {
			c, err := dialOnce(e.address())
			if err != nil {
				return false
			}
			answers, _ := held{c}.ask(t, patience)
			return len(answers) == 1
		})
		if _, silent := full[1:].ask(t, patience); len(silent) > 0 {
			t.Errorf("%d connections are not served", len(silent))
		}
	})
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		e := startEmbedded(t, app("queue"))
		e.admitted(2)
		// A worker that the machine does not let run for a moment is stalled, and gets
		// fewer: then once more. No connection is refused, ever.
		eventually.True(t, "both slots have as much beyond the bound", func() bool {
			all := e.hold(40)
			if n := refused(t, e); n != 0 {
				t.Fatalf("%d connections were refused", n)
			}
			answers, silent := all.ask(t, patience)
			if len(silent) > 0 {
				t.Fatalf("%d connections are not served", len(silent))
			}
			return bySlot(answers)[0] == 20 && bySlot(answers)[1] == 20
		})
	})
}

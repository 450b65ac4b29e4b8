package ipc

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// mappings counts the maps of payloads in this process.
func mappings(t testing.TB) (n int) {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), "/memfd:tine") {
			n++
		}
	}
	return n
}

func TestMappedOnDemand(t *testing.T) {
	keepsFDs(t)
	p, q := newPayload(t, pattern(1<<20, 1)), newPayload(t, pattern(1<<20, 1))
	if !p.Equal(q) {
		t.Error("not equal")
	}
	if n := mappings(t); n != 0 {
		t.Errorf("%d mappings before the bytes were asked for", n)
	}
	content(t, p)
	content(t, p)
	if n := mappings(t); n != 1 {
		t.Errorf("%d mappings, 1 is enough", n)
	}
	p.Release()
	q.Release()
	if n := mappings(t); n != 0 {
		t.Errorf("%d mappings after the last reference", n)
	}
}

// TestForgottenPayload: a reference that is never released costs memory only until the collector sees it.
func TestForgottenPayload(t *testing.T) {
	keepsFDs(t)
	before := openFDs(t)
	func() { content(t, newPayload(t, pattern(1<<20, 1))) }()
	deadline := time.Now().Add(eventually.Patience())
	for openFDs(t) != before || mappings(t) != 0 {
		if time.Now().After(deadline) {
			t.Fatal("a forgotten payload was not freed")
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func TestPayloadIsSealed(t *testing.T) {
	p := newPayload(t, pattern(1<<20, 1))
	defer p.Release()
	fd := p.descriptor()
	if _, err := unix.Pwrite(fd, []byte("x"), 0); err != unix.EPERM {
		t.Errorf("write: %v", err)
	}
	if err := unix.Ftruncate(fd, 10); err != unix.EPERM {
		t.Errorf("shrink: %v", err)
	}
	if err := unix.Ftruncate(fd, 2<<20); err != unix.EPERM {
		t.Errorf("grow: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err != unix.EPERM {
		t.Errorf("seal: %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

package ipc

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestPayloadFromUnsealedFile: a file that could still change or shrink is refused, and one that is not a memory file.
func TestPayloadFromUnsealedFile(t *testing.T) {
	keepsFDs(t)
	for seals, want := range map[int]string{
		0:                                     "are needed",
		unix.F_SEAL_SHRINK | unix.F_SEAL_GROW: "are needed",
		unix.F_SEAL_WRITE:                     "are needed",
		unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE:                    "are needed",
		unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL: "",
	} {
		fd, err := createSegment()
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "value.1")
		if err := f.Truncate(100); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		p, err := PayloadFromFile(f, 100)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "value.1")) {
			t.Errorf("seals %#x: %v, wanted %q", seals, err, want)
		}
		if p != nil {
			p.Release()
		}
	}
	f, err := os.CreateTemp(t.TempDir(), "value")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100); err != nil {
		t.Fatal(err)
	}
	if _, err := PayloadFromFile(f, 100); err == nil {
		t.Error("a file on disk is taken for memory")
	}
}

// TestForgottenPayloadFile: the file closes with the payload, also when both are forgotten.
func TestForgottenPayloadFile(t *testing.T) {
	keepsFDs(t)
	before := openFDs(t)
	func() {
		p := newPayload(t, pattern(1<<20, 1))
		q, err := PayloadFromFile(lend(t, p), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		content(t, q)
	}()
	deadline := time.Now().Add(eventually.Patience())
	for openFDs(t) != before || mappings(t) != 0 {
		if time.Now().After(deadline) {
			t.Fatal("a forgotten payload was not freed")
		}
		runtime.GC()
		runtime.Gosched()
	}
}

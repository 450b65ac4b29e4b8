package ipc

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestMemoryIsSealed: a worker can write a board, but cannot take pages from under the others.
func TestMemoryIsSealed(t *testing.T) {
	b := newTestBoard(t)
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	defer hot.Close()
	defer rows.Close()
	for _, f := range []*os.File{hot, rows} {
		fd, err := Descriptor(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{0, 4096, RowsBytes * 2} {
			if err := f.Truncate(n); !errors.Is(err, unix.EPERM) {
				t.Errorf("resized to %d bytes: %v", n, err)
			}
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); !errors.Is(err, unix.EPERM) {
			t.Errorf("sealed against writing: %v", err)
		}
	}
}

// TestUnsealedMemoryIsRefused: what can shrink would kill its reader.
func TestUnsealedMemoryIsRefused(t *testing.T) {
	keepsFDs(t)
	b := newTestBoard(t)
	for _, c := range []struct {
		seals int
		want  string
	}{
		{0, "rows: memory file has seals"},
		{unix.F_SEAL_GROW, "it could shrink without F_SEAL_SHRINK"},
		{unix.F_SEAL_SHRINK, ""},
	} {
		fd, err := createSegment()
		if err != nil {
			t.Fatal(err)
		}
		rows := os.NewFile(uintptr(fd), "rows")
		if err := rows.Truncate(RowsBytes); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, c.seals); err != nil {
			t.Fatal(err)
		}
		hot, own, err := b.Share()
		if err != nil {
			t.Fatal(err)
		}
		own.Close()
		w, err := OpenBoard(hot, rows)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("seals %#x: error %v, wanted %q", c.seals, err, c.want)
		}
		if w != nil {
			w.Close()
		}
	}
	file, err := os.CreateTemp(t.TempDir(), "rows")
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(RowsBytes); err != nil {
		t.Fatal(err)
	}
	hot, own, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	if _, err := OpenBoard(hot, file); err == nil || !strings.Contains(err.Error(), "rows: ") {
		t.Errorf("a file on disk is taken for memory: %v", err)
	}
}

// TestUntouchedRowsTakeNoMemory: a board has room for 2,048 workers, and most apps have a few.
func TestUntouchedRowsTakeNoMemory(t *testing.T) {
	b := newTestBoard(t)
	for slot := range 8 {
		b.Row(slot, 0).Reset(1)
		b.Line(slot).Accepted[0].Add(1)
	}
	for _, c := range []struct {
		f    *os.File
		most int64
	}{{b.hotFile, BoardBytes}, {b.rowsFile, 16 * RowBytes}} {
		fd, err := Descriptor(c.f)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		if got := int64(st.Blocks) * 512; got > c.most && os.Getpagesize() == 4096 {
			t.Errorf("%d bytes are in use, at most %d", got, c.most)
		}
	}
}

// TestBoardOnEBPFMap: the map is of the kind that the kernel's program reads. Needs the right to make one.
func TestBoardOnEBPFMap(t *testing.T) {
	keepsFDs(t)
	m := newEBPFMap(t, BoardBytes)
	b, err := NewBoardOn(m)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m.Close()
	w := shareBoard(t, b)
	w.Line(1023).Accepted[0].Add(3)
	if got := b.Line(1023).Held(0); got != 3*Weight {
		t.Errorf("the slot holds %d", got)
	}
	if w.Header().Version != BoardVersion {
		t.Errorf("version %d", w.Header().Version)
	}

	short := newEBPFMap(t, BoardBytes/2)
	if b, err := NewBoardOn(short); b != nil || err == nil || !strings.Contains(err.Error(), "map 81920 bytes") {
		t.Errorf("a board on a map of half the size: %v, %v", b, err)
	}
	rows, own, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	if w, err := OpenBoard(rows, short); w != nil || err == nil || !strings.Contains(err.Error(), "rows: ") {
		t.Errorf("rows on an eBPF map: %v, %v", w, err)
	}
}

// newEBPFMap makes an array of one entry of n bytes that can be mapped.
func newEBPFMap(t *testing.T, n uint32) *os.File {
	t.Helper()
	attr := struct{ mapType, keySize, valueSize, maxEntries, flags uint32 }{unix.BPF_MAP_TYPE_ARRAY, 4, n, 1, unix.BPF_F_MMAPABLE}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == unix.EPERM || errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("cannot make an eBPF map here: %v", errno)
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	f := os.NewFile(fd, "map")
	t.Cleanup(func() { f.Close() })
	return f
}

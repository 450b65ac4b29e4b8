package ipc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// memory returns a file of n bytes as a board's maker makes it.
func memory(t *testing.T, n int64) *os.File {
	t.Helper()
	f, err := NewMemory("board", n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestOpenBoardRefuses: memory that is not a board of this version is an error that says what it is instead.
func TestOpenBoardRefuses(t *testing.T) {
	keepsFDs(t)
	for _, c := range []struct {
		name string
		with func(t *testing.T, b *Board, hot, rows *os.File) (*os.File, *os.File)
		want string
	}{
		{"magic", func(_ *testing.T, b *Board, hot, rows *os.File) (*os.File, *os.File) {
			b.Header().Magic++
			return hot, rows
		}, "magic number is 0x6472622e656e6975, 0x6472622e656e6974 is needed"},
		{"zero", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			hot.Close()
			return memory(t, BoardBytes), rows
		}, "magic number is 0x0"},
		{"version", func(_ *testing.T, b *Board, hot, rows *os.File) (*os.File, *os.File) {
			b.Header().Version = BoardVersion - 1
			return hot, rows
		}, fmt.Sprintf("version is %d, %d is needed", BoardVersion-1, BoardVersion)},
		{"slots", func(_ *testing.T, b *Board, hot, rows *os.File) (*os.File, *os.File) {
			b.Header().Slots = 64
			return hot, rows
		}, "it has 64 slots, 1024 are needed"},
		{"short lines", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			hot.Close()
			return memory(t, BoardBytes-1), rows
		}, "lines: 81920 bytes are needed: file has 81919 bytes"},
		{"long lines", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			hot.Close()
			return memory(t, BoardBytes+1), rows
		}, "lines: 81920 bytes are needed: file has 81921 bytes"},
		{"short rows", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			rows.Close()
			return hot, memory(t, RowsBytes-4096)
		}, "rows: 8388608 bytes are needed: file has 8384512 bytes"},
		{"empty rows", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			rows.Close()
			return hot, memory(t, 0)
		}, "rows: 8388608 bytes are needed: file has 0 bytes"},
		{"swapped", func(_ *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			return rows, hot
		}, "lines: 81920 bytes are needed: file has 8388608 bytes"},
		{"pipe", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			hot.Close()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			w.Close()
			return r, rows
		}, "lines: 81920 bytes are needed: descriptor is not a regular file"},
		{"closed", func(_ *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			rows.Close()
			return hot, rows
		}, "rows: "},
		{"read only", func(t *testing.T, _ *Board, hot, rows *os.File) (*os.File, *os.File) {
			hot.Close()
			path := filepath.Join(t.TempDir(), "board")
			if err := os.WriteFile(path, make([]byte, BoardBytes), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			return f, rows
		}, "lines: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTestBoard(t)
			hot, rows, err := b.Share()
			if err != nil {
				t.Fatal(err)
			}
			hot, rows = c.with(t, b, hot, rows)
			w, err := OpenBoard(hot, rows)
			if w != nil || err == nil || !strings.HasPrefix(err.Error(), "cannot open board: "+c.want) {
				t.Errorf("a board: %v, error %v, wanted %q", w != nil, err, c.want)
			}
			for _, f := range []*os.File{hot, rows} {
				if _, err := f.Stat(); err == nil {
					t.Errorf("%s is still open", f.Name())
				}
			}
		})
	}
}

func TestNewBoardOnRefuses(t *testing.T) {
	keepsFDs(t)
	for _, c := range []struct {
		hot  *os.File
		want string
	}{
		{memory(t, BoardBytes-1), "cannot make a board: lines: 81920 bytes are needed: file has 81919 bytes"},
		{func() *os.File { f := memory(t, 0); f.Close(); return f }(), "cannot make a board: duplicate board: "},
	} {
		b, err := NewBoardOn(c.hot)
		if b != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, error %v, wanted %q", b, err, c.want)
		}
	}
}

func TestNewBoardOnKeepsCounters(t *testing.T) {
	keepsFDs(t)
	first := newTestBoard(t)
	first.Line(7).Assigned.Store(99)
	first.Header().Picked.Store(5)
	hot, rows, err := first.Share()
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	b, err := NewBoardOn(hot)
	hot.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Line(7).Assigned.Load() != 99 || b.Header().Picked.Load() != 5 {
		t.Error("the counters of the given memory are lost")
	}
	w := shareBoard(t, b)
	w.Row(7, 0).Sent.Add(1)
	if b.Row(7, 0).Sent.Load() != 1 || first.Row(7, 0).Sent.Load() != 0 {
		t.Error("the rows are not new")
	}
}

func TestBoardEnds(t *testing.T) {
	keepsFDs(t)
	b, err := NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	w := shareBoard(t, b)
	if _, _, err := w.Share(); err == nil {
		t.Error("a board that was opened is shared")
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.Share(); err == nil {
		t.Error("a closed board is shared")
	}
	w.Line(0).Accepted[0].Add(1) // a mapping outlives that of the maker
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestBoardIndices: a mistake of the program panics, it never reaches another one's memory.
func TestBoardIndices(t *testing.T) {
	b := newTestBoard(t)
	for name, f := range map[string]func(){
		"line -1":    func() { b.Line(-1) },
		"line 1024":  func() { b.Line(MaxSlots) },
		"row -1":     func() { b.Row(-1, 0) },
		"row 1024":   func() { b.Row(MaxSlots, 0) },
		"seat 2":     func() { b.Row(0, Seats) },
		"seat -1":    func() { b.Row(0, -1) },
		"table 4096": func() { b.SetTable(TableSize, 0) },
		"table -1":   func() { b.TableAt(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is there", name)
				}
			}()
			f()
		}()
	}
	for i := range TableSize {
		b.SetTable(i, uint16(TableSize-i))
	}
	for i := range TableSize {
		if got := b.TableAt(i); got != uint16(TableSize-i) {
			t.Fatalf("entry %d is %d", i, got)
		}
	}
	if h := b.Header(); h.Magic != BoardMagic || h.StaleAfter.Load() != 0 || b.Line(0).Assigned.Load() != 0 {
		t.Error("the table reaches into its neighbours")
	}
}

// TestBoardKeepsItsDescriptorsPrivate: a child must not inherit them by accident.
func TestBoardKeepsItsDescriptorsPrivate(t *testing.T) {
	b := newTestBoard(t)
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	defer hot.Close()
	defer rows.Close()
	for _, f := range []*os.File{hot, rows, b.hotFile, b.rowsFile} {
		fd, err := Descriptor(f)
		if err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s is inherited by children (%#x, %v)", f.Name(), flags, err)
		}
	}
}

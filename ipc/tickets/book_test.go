package tickets

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/tinehq/tine/ipc"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	for what, got := range map[string][2]uintptr{
		"used": {unsafe.Offsetof(head{}.used), 16}, "waited": {unsafe.Offsetof(head{}.waited), 24}, "freed": {unsafe.Offsetof(head{}.freed), 64},
		"header": {unsafe.Sizeof(header{}), headerBytes}, "sent": {unsafe.Offsetof(header{}.sent), 8}, "seats": {unsafe.Offsetof(header{}.seats), 64},
		"seat": {unsafe.Sizeof(seat{}), 64}, "beat": {unsafe.Offsetof(seat{}.beat), 8}, "begun": {unsafe.Offsetof(seat{}.begun), 16},
		"rows": {rowsOffset, 266240}, "rows of a slot": {unsafe.Sizeof(rows{}), 8192}, "bytes": {Bytes, 8654848},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", what, got[0], got[1])
		}
	}
	if s := string(unsafe.Slice((*byte)(unsafe.Pointer(&[]uint64{Magic}[0])), 8)); s != "tine.kxt" {
		t.Errorf("magic %q", s)
	}
}

// TestBookIsShared: what one process has reserved another begins, also after the master that made the book has gone.
func TestBookIsShared(t *testing.T) {
	t.Parallel()
	b := book(t)
	k := reserved(t, opened(t, b).Slot(5), 3, 8)
	f, err := ipc.Duplicate(b.File())
	if err != nil {
		t.Fatal(err)
	}
	b.head().magic = 0 // a worker has overwritten it
	next, err := Adopt(f)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if !opened(t, next).Slot(5).Begin(k, 1) || b.Slot(5).State(k) != Begun {
		t.Errorf("%s does not begin", k)
	}
	w := opened(t, b)
	if _, err := w.Share(); err == nil || w.File() != nil {
		t.Error("who has opened a book shares it")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	open := func(change func(h *head)) error {
		b := book(t)
		f, err := b.Share()
		if err != nil {
			t.Fatal(err)
		}
		change(b.head())
		_, err = Open(f)
		return err
	}
	file := func(n int64) error {
		f, err := ipc.NewMemory("short", n)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(f)
		return err
	}
	disk, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	_, pipe := Open(reader)
	_, empty := Open(disk)
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"magic":   {open(func(h *head) { h.magic++ }), "magic number is 0x74786b2e656e6975"},
		"version": {open(func(h *head) { h.version = 2 }), "version is 2, 1 is needed"},
		"empty":   {file(Bytes - 1), "file has 8654847 bytes"},
		"long":    {file(Bytes + 1), "file has 8654849 bytes"},
		"disk":    {empty, "file has 0 bytes"},
		"pipe":    {pipe, "not a regular file"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || !strings.Contains(c.err.Error(), "cannot open a book of tickets") {
			t.Errorf("%s: %v, want %q", what, c.err, c.want)
		}
	}
}

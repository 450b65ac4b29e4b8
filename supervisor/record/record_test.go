package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func newRecord(t testing.TB) (*Record, *os.File) {
	t.Helper()
	f, err := Memory("tine-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	return r, f
}

// blobOf is the n-th blob of a sequence: its size and content follow from its number, and its number from it.
func blobOf(n uint64, largest int) []byte {
	random := rand.New(rand.NewPCG(n, 7))
	b := make([]byte, 8+random.IntN(largest))
	binary.LittleEndian.PutUint64(b, n)
	word := random.Uint64() | 1
	for i := 8; i < len(b); i++ {
		word = word*0x9e3779b97f4a7c15 + n
		b[i] = byte(word >> 56)
	}
	return b
}

func TestReadAndWrite(t *testing.T) {
	r, f := newRecord(t)
	if b, err := r.Read(); b != nil || !errors.Is(err, ErrEmpty) {
		t.Errorf("a new record has %q, %v", b, err)
	}
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "", "three", strings.Repeat("long", 100000), "short", "shorter", ""} {
		if err := r.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*Record{r, other} {
			if b, err := r.Read(); string(b) != want || err != nil {
				t.Errorf("%.20q of %d bytes, %v: wanted %.20q", b, len(b), err, want)
			}
		}
		r, other = other, r // the next writer goes on where the last one was
	}
	if err := r.Write(make([]byte, MaxBlob+1)); err == nil || !strings.Contains(err.Error(), "at most 67108864 are possible") {
		t.Error(err)
	}
}

// TestSizeIsBounded: whatever the blobs, the file does not grow without end.
func TestSizeIsBounded(t *testing.T) {
	r, f := newRecord(t)
	const largest = 50000
	for n := range uint64(3000) {
		b := make([]byte, min(largest, 1+int(n)*20))
		if n > 2500 {
			b = blobOf(n, largest-8)
		}
		if err := r.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > blobsAt+3*largest+200 {
		t.Errorf("%d bytes for blobs of %d", st.Size(), largest)
	}
}

// TestTornWrite cuts a Write off after every byte that it writes: the record has the blob before until it has the new one.
func TestTornWrite(t *testing.T) {
	content := func(f *os.File) []byte {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, f := newRecord(t)
	var last []byte
	for n := range uint64(6) {
		before := content(f)
		blob := blobOf(n, 150)
		if err := r.Write(blob); err != nil {
			t.Fatal(err)
		}
		after := content(f)
		entries, at, err := r.entries()
		if err != nil {
			t.Fatal(err)
		}
		image := append(before, make([]byte, max(0, len(after)-len(before)))...)
		torn := func(what string, from int64, to uint64, complete bool) {
			for i := from; i < int64(to); i++ {
				image[i] = after[i]
				g, _ := Memory("torn")
				if _, err := g.WriteAt(image, 0); err != nil {
					t.Fatal(err)
				}
				r, err := Open(g)
				if err != nil {
					t.Fatal(err)
				}
				got, err := r.Read()
				isNew := err == nil && bytes.Equal(got, blob)
				isOld := err == nil && bytes.Equal(got, last) || n == 0 && errors.Is(err, ErrEmpty)
				if !isOld && !isNew || complete && i == int64(to)-1 && !isNew {
					t.Errorf("write %d, %s up to byte %d: %d bytes, %v", n, what, i-from, len(got), err)
				}
				g.Close()
			}
		}
		torn("blob", int64(entries[0].offset), entries[0].end(), false)
		torn("entry", at[0], uint64(at[0])+entryUsed, true)
		last = blob
	}
}

// TestOpenRefuses: a file that is not a record, or of another version.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"", "too short"},
		{"tine rec", "too short"},
		{strings.Repeat("x", 100), `it begins with "xxxxxxxx"`},
		{"tine rec\x02" + strings.Repeat("\x00", 100), "its format has version 2, and 1 is known here"},
	} {
		f, err := Memory("tine-test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(c.content); err != nil {
			t.Fatal(err)
		}
		if r, err := Open(f); r != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.content, err)
		}
		f.Close()
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if _, err := Open(read); err == nil {
		t.Error("a pipe is a record")
	}
	if _, err := New(write); err == nil {
		t.Error("a record was made in a pipe")
	}
}

// TestReadDuringWrites: a reader gets whole blobs, in order, however fast another writes.
func TestReadDuringWrites(t *testing.T) {
	r, f := newRecord(t)
	if err := r.Write(blobOf(0, 3000)); err != nil {
		t.Fatal(err)
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := r.Write(blobOf(n, 3000)); err != nil {
				failed <- err
				return
			}
		}
	}()
	reader, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for range 2000 {
		b, err := reader.Read()
		if err != nil {
			t.Error(err)
			break
		}
		n := binary.LittleEndian.Uint64(b)
		if n < last || !bytes.Equal(b, blobOf(n, 3000)) {
			t.Errorf("blob %d after %d, or not whole", n, last)
			break
		}
		last = n
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// FuzzRecord: a file that anybody has written is read without harm, and is a record again after a Write.
func FuzzRecord(f *testing.F) {
	r, file := newRecord(f)
	for n := range uint64(3) {
		if err := r.Write(blobOf(n, 100)); err != nil {
			f.Fatal(err)
		}
		b, _ := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
		f.Add(b)
	}
	huge := entry{number: 1 << 63, offset: blobsAt, length: MaxBlob}
	head := append([]byte("tine rec\x01"), make([]byte, headBytes-9)...)
	f.Add(append(append(head, huge.encode()...), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := Memory("tine-fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		r, err := Open(file)
		if err != nil {
			return
		}
		if _, err := r.Read(); err != nil && len(content) >= headBytes+2*entryBytes && !errors.Is(err, ErrEmpty) {
			t.Fatal(err)
		}
		if err := r.Write([]byte("again")); err != nil {
			return
		}
		if b, err := r.Read(); string(b) != "again" || err != nil {
			t.Fatalf("%q, %v after a write", b, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name  string
		bytes int
	}{{"1KiB", 1 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			r, _ := newRecord(b)
			blob := make([]byte, c.bytes)
			b.SetBytes(int64(c.bytes))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Write(blob); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

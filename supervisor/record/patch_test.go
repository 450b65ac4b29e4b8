package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func wantAll(t *testing.T, r *Record, blob string, patches ...string) {
	t.Helper()
	b, all, err := r.ReadAll()
	if err != nil || string(b) != blob || len(all) != len(patches) {
		t.Fatalf("%.20q with %d patches, %v: wanted %.20q with %d", b, len(all), err, blob, len(patches))
	}
	for i, p := range all {
		if string(p) != patches[i] {
			t.Errorf("patch %d is %.20q of %d bytes, wanted %.20q of %d", i, p, len(p), patches[i], len(patches[i]))
		}
	}
}

func TestPatches(t *testing.T) {
	r, f := newRecord(t)
	if err := r.Append([]byte("early")); !errors.Is(err, ErrEmpty) {
		t.Errorf("a patch without a blob: %v", err)
	}
	long := strings.Repeat("long", 50000)
	var want []string
	for round := range 4 {
		blob := fmt.Sprint("blob ", round) + long[:round*1000]
		if err := r.Write([]byte(blob)); err != nil {
			t.Fatal(err)
		}
		want = nil
		wantAll(t, r, blob)
		if r.Patched() != 0 {
			t.Errorf("%d bytes of patches after a write", r.Patched())
		}
		for _, p := range []string{"one", "", long, "exactly8", "last"} {
			if err := r.Append([]byte(p)); err != nil {
				t.Fatal(err)
			}
			want = append(want, p)
			wantAll(t, r, blob, want...)
		}
		if r.Patched() < len(long) {
			t.Errorf("%d bytes of patches, there are more than %d", r.Patched(), len(long))
		}
		// The next writer goes on behind them.
		next, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := next.Read(); string(b) != blob || err != nil {
			t.Errorf("the blob alone is %.20q, %v", b, err)
		}
		if err := next.Append([]byte("of another")); err != nil {
			t.Fatal(err)
		}
		wantAll(t, r, blob, append(want, "of another")...)
		if r, err = Open(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Append(make([]byte, MaxBlob+1)); err == nil || !strings.Contains(err.Error(), "at most 67108864 are possible") {
		t.Error(err)
	}
}

// What is broken of a patch, of whatever byte, ends the patches before it.
func TestBrokenPatch(t *testing.T) {
	const blob = "the blob"
	patches := []string{"first", "second one", "third"}
	for at := range 3*(patchHead+patchAlign) + 8 {
		r, f := newRecord(t)
		if err := r.Write([]byte(blob)); err != nil {
			t.Fatal(err)
		}
		for _, p := range patches {
			if err := r.Append([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		var b [1]byte
		place := int64(blobsAt+len(blob)) + int64(at)
		if _, err := f.ReadAt(b[:], place); err != nil {
			continue // behind the end
		}
		b[0] ^= 0x40
		if _, err := f.WriteAt(b[:], place); err != nil {
			t.Fatal(err)
		}
		got, all, err := r.ReadAll()
		if string(got) != blob || err != nil {
			t.Fatalf("byte %d: %q, %v", at, got, err)
		}
		for i, p := range all {
			if string(p) != patches[i] {
				t.Errorf("byte %d: patch %d is %q", at, i, p)
			}
		}
		f.Close()
	}
}

// TestSizeIsBoundedWithPatches: a file that is patched and written anew without end does not grow without end.
func TestSizeIsBoundedWithPatches(t *testing.T) {
	r, f := newRecord(t)
	const blob, patches = 20000, 20000
	for n := range uint64(200) {
		if err := r.Write(blobOf(n, blob-8)); err != nil {
			t.Fatal(err)
		}
		for r.Patched() < patches-1000 {
			if err := r.Append(blobOf(n, 900)); err != nil {
				t.Fatal(err)
			}
		}
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(blobsAt + 3*(blob+patches)); st.Size() > most {
		t.Errorf("%d bytes, at most %d were expected", st.Size(), most)
	}
}

// appendForEver is the child's part in TestKilledAppender: it announces the number of each patch, and appends it. Each tenth
// is a Write of a blob with that number instead.
func appendForEver(r *Record, n uint64) {
	for ; ; n++ {
		if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, n)); err != nil {
			os.Exit(0)
		}
		write := r.Append
		if n%10 == 0 {
			write = r.Write
		}
		if err := write(blobOf(n, 5000)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// TestKilledAppender kills a process again and again that appends as fast as it can. Each time there is what it has announced
// last or one less, without a gap.
func TestKilledAppender(t *testing.T) {
	kills, most := 60, 10*time.Second
	if testing.Short() {
		kills = 10
	}
	r, f := newRecord(t)
	next := uint64(10)
	began := time.Now()
	for kill := 0; kill < kills && time.Since(began) < most; kill++ {
		if err := r.Write(blobOf(next-1, 5000)); err != nil {
			t.Fatal(err)
		}
		last := killWriter(t, f, next, childAppends+"=1")
		blob, patches, err := r.ReadAll()
		if err != nil {
			t.Fatalf("kill %d: %v; %d was announced", kill, err, last)
		}
		n := binary.LittleEndian.Uint64(blob)
		for i, p := range append([][]byte{blob}, patches...) {
			if want := blobOf(n+uint64(i), 5000); !bytes.Equal(p, want) {
				t.Fatalf("kill %d: what should be %d behind %d is of %d", kill, n+uint64(i), n, binary.LittleEndian.Uint64(p))
			}
		}
		if got := n + uint64(len(patches)); got != last && got+1 != last {
			t.Fatalf("kill %d: the record has %d, %d was announced last", kill, got, last)
		}
		next = (last/10 + 1) * 10
		if r, err = Open(f); err != nil {
			t.Fatal(err)
		}
	}
}

package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const (
	childVariable = "TINE_RECORD_TEST_CHILD"  // the number of the first blob to write
	childAppends  = "TINE_RECORD_TEST_APPEND" // set: it appends patches, and writes a blob now and then
	childLargest  = 100000
	childBlobs    = 8
)

func TestMain(m *testing.M) {
	if first := os.Getenv(childVariable); first != "" {
		writeForEver(first)
	}
	os.Exit(m.Run())
}

// writeForEver is the child's part: it announces the number of each blob, and writes it. Descriptor 3 has the record, and
// the test reads standard output.
func writeForEver(first string) {
	r, err := Open(os.NewFile(3, "record"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	n, _ := strconv.ParseUint(first, 10, 64)
	if os.Getenv(childAppends) != "" {
		appendForEver(r, n)
	}
	// Made before, so that nearly all the time is spent in writing.
	var blobs [childBlobs][]byte
	for i := range blobs {
		blobs[i] = blobOf(n+uint64(i), childLargest)
	}
	for ; ; n++ {
		b := blobs[n%childBlobs]
		binary.LittleEndian.PutUint64(b, n) // only the number differs from the last time
		if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, n)); err != nil {
			os.Exit(0)
		}
		if err := r.Write(b); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// TestKilledWriter kills a process again and again that writes as fast as it can. Each time the record is the last blob that it
// has announced or the one before, whole, and the next one goes on from there.
func TestKilledWriter(t *testing.T) {
	kills, most := 100, 10*time.Second
	if testing.Short() {
		kills = 20
	}
	r, f := newRecord(t)
	next, written := uint64(childBlobs), uint64(0)
	if err := r.Write(blobOf(next-1, 100)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for kill := range kills {
		if time.Since(began) > most {
			t.Logf("%d kills in %v", kill, most)
			break
		}
		last := killWriter(t, f, next)
		blob, err := r.Read()
		if err != nil {
			t.Fatalf("kill %d: %v; blob %d was announced", kill, err, last)
		}
		n := binary.LittleEndian.Uint64(blob)
		if n != last && n+1 != last || n < next-1 {
			t.Fatalf("kill %d: the record has blob %d, %d was announced last and %d first", kill, n, last, next)
		}
		// The content is that of the blob which this child had made at this place.
		want := blobOf(next+(n-next)%childBlobs, childLargest)
		if n < next { // it has written nothing
			want = blobOf(n, 100)
		}
		binary.LittleEndian.PutUint64(want, n)
		if !bytes.Equal(blob, want) {
			t.Fatalf("kill %d: blob %d is not whole", kill, n)
		}
		written += n + 1 - next
		next = (n/childBlobs + 1) * childBlobs
		if err := r.Write(blobOf(next-1, 100)); err != nil { // what the next child goes on from
			t.Fatal(err)
		}
	}
	t.Logf("%d blobs were written", written)
}

// killWriter starts a writer, kills it in the middle of what it does, and returns the number that it announced last.
func killWriter(t *testing.T, f *os.File, first uint64, env ...string) (last uint64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(append(os.Environ(), childVariable+"="+strconv.FormatUint(first, 10)), env...)
	child.ExtraFiles = []*os.File{f}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	// Sometimes between the first ones, sometimes a little later, at any instruction.
	after := 1 + rand.IntN(200)
	spin := rand.IntN(30000)
	in := bufio.NewReader(out)
	var b [8]byte
	for i := 0; ; i++ {
		if _, err := in.Read(b[:1]); err != nil {
			break
		}
		for k := 1; k < 8; k++ {
			if b[k], err = in.ReadByte(); err != nil {
				break
			}
		}
		last = binary.LittleEndian.Uint64(b[:])
		if i == after {
			for range spin {
				_ = i
			}
			child.Process.Kill()
		}
	}
	child.Wait()
	if last == 0 {
		t.Fatal("the writer has written nothing")
	}
	return last
}

package handle

import (
	"os"
	"testing"

	"github.com/tinehq/tine/ipc"
	"golang.org/x/sys/unix"
)

// inFile is a payload of n bytes in a sealed memory file, as a worker may send one of any size.
func inFile(t *testing.T, n int) *ipc.Payload {
	t.Helper()
	fd, err := unix.MemfdCreate("value", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "value")
	if err := f.Truncate(int64(n)); err != nil {
		t.Fatal(err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	p, err := ipc.PayloadFromFile(f, int64(n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSmallFilesAreGivenBack: a worker that sends small payloads in descriptors does not fill this process's table with them.
func TestSmallFilesAreGivenBack(t *testing.T) {
	for _, n := range []int{1, ipc.HeapMax, ipc.HeapMax + 1} {
		for _, f := range []ipc.Frame{
			ipc.Set{Payload: inFile(t, n)}, ipc.Call{Payload: inFile(t, n)}, ipc.Reply{Payload: inFile(t, n)}, ipc.Message{Payload: inFile(t, n)},
		} {
			g, large := prepare(f)
			if large != (n > ipc.HeapMax) {
				t.Errorf("%T of %d bytes: large %v", f, n, large)
			}
			if cost := costOfFrame(g); cost < int64(n) {
				t.Errorf("%T of %d bytes counts for %d", f, n, cost)
			}
			if set, ok := g.(ipc.Set); ok {
				same, err := ipc.NewPayload(make([]byte, n))
				if err != nil {
					t.Fatal(err)
				}
				if !set.Payload.Equal(same) { // in the loop, which reads nothing
					t.Errorf("a value of %d bytes is not ready to be compared", n)
				}
				same.Release()
			}
			ipc.Discard(g)
		}
	}
}

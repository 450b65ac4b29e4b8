package cache

import (
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestJournalGivesBack: what is not needed any more takes no memory, wherever the log has got to.
func TestJournalGivesBack(t *testing.T) {
	j, f := newJournal(t)
	value := make([]byte, ipc.HeapMax)
	const keys = 100
	most := int64(0)
	for n := uint64(1); n <= 20*keys; n++ {
		if err := j.Append(Entry{Key: string(rune('a' + n%keys)), Epoch: n, Value: value}); err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Sys().(*syscall.Stat_t).Blocks*512)
	}
	if j.number < 5 {
		t.Errorf("compacted %d times", j.number-1)
	}
	if bound := int64(3*keys*(ipc.HeapMax+200) + 2*journalFloor); most > bound {
		t.Errorf("%d bytes of memory, at most %d", most, bound)
	}
}

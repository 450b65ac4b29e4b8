package worker

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestCachedFalsyValuesAreValues(t *testing.T) {
	w, _ := withMaster(t, map[string]any{"zero": 0, "no": false, "empty": "", "null": nil})
	if v, ok := Cached[int](w, "zero").Get(); v != 0 || !ok {
		t.Errorf("zero: %v %v", v, ok)
	}
	if v, ok := Cached[bool](w, "no").Get(); v || !ok {
		t.Errorf("no: %v %v", v, ok)
	}
	if v, ok := Cached[string](w, "empty").Get(); v != "" || !ok {
		t.Errorf("empty: %q %v", v, ok)
	}
	if v, ok := Cached[*int](w, "null").Get(); v != nil || !ok {
		t.Errorf("null: %v %v", v, ok)
	}
	missing := Cached[int](w, "missing")
	if v, ok := missing.Get(); v != 0 || ok || missing.Or(9) != 9 || missing.Info().Epoch != 0 {
		t.Errorf("missing: %v %v %+v", v, ok, missing.Info())
	}
}

func TestCachedFollowsChanges(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 1})
	n, text, raw := Cached[int](w, "n"), Cached[string](w, "n"), Cached[[]byte](w, "n")
	m.set(2, "n", 22)
	m.acked(2)
	if v, _ := n.Get(); v != 22 || n.Err() != nil || n.Info().Epoch != 2 || n.Info().Bytes != 2 {
		t.Errorf("n is %d, %v, %+v", v, n.Err(), n.Info())
	}
	m.set(3, "n", "not a number")
	m.acked(3)
	if v, ok := n.Get(); v != 22 || !ok || n.Err() == nil || n.Info().Epoch != 2 {
		t.Errorf("after garbage n is %d %v, %v, %+v", v, ok, n.Err(), n.Info())
	}
	if !strings.Contains(n.Err().Error(), `"n"`) {
		t.Errorf("error does not name the value: %v", n.Err())
	}
	s, _ := text.Get()
	b, _ := raw.Get()
	if s != "not a number" || string(b) != s {
		t.Errorf("raw forms are %q and %q", s, b)
	}
	m.send(deleted(4, "n"))
	m.acked(4)
	if v, ok := n.Get(); v != 0 || ok || n.Err() != nil || n.Info().Epoch != 4 {
		t.Errorf("after delete n is %d %v, %v, %+v", v, ok, n.Err(), n.Info())
	}
}

func TestCachedValuesOfOneKeyShareNothing(t *testing.T) {
	w, m := withMaster(t, map[string]any{"list": []int{1, 2}})
	a, b := Cached[[]int](w, "list"), Cached[[]int](w, "list")
	m.set(2, "list", []int{3, 4})
	m.acked(2)
	x, _ := a.Get()
	x[0] = 99
	if y, _ := b.Get(); !slices.Equal(y, []int{3, 4}) {
		t.Errorf("b is %v", y)
	}
}

func TestDroppedValuesAreForgotten(t *testing.T) {
	w, m := withMaster(t, map[string]any{"n": 1})
	for range 100 {
		Cached[int](w, "n")
	}
	keep := Cached[int](w, "n")
	left := 101
	// A collection that other tests keep busy may see them only the next time.
	for epoch := uint64(2); left > 2 && epoch < 50; epoch++ { // the compiler may keep one more alive
		runtime.GC()
		m.set(epoch, "n", int(epoch))
		m.acked(epoch)
		w.store.applying.Lock()
		left = len(w.store.cells["n"].readers)
		w.store.applying.Unlock()
	}
	if left > 2 {
		t.Errorf("%d readers are left", left)
	}
	runtime.KeepAlive(keep)
}

func TestBlobIsMappedAndGoesAway(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("mappings are counted in /proc")
	}
	big := func(c byte) []byte { return bytes.Repeat([]byte{c}, 4<<20) }
	w, m := withMaster(t, map[string]any{"table": big('a')})
	v := Cached[Blob](w, "table")
	first, _ := v.Get()
	for i := range 10 {
		m.set(uint64(i+2), "table", big(byte('b'+i)))
		m.acked(uint64(i + 2))
		superseded := (i + 1) * 4 << 20
		if w.store.mappings.started.Load() && superseded <= mostSuperseded {
			t.Fatalf("a collection is started for %d superseded bytes", superseded)
		}
	}
	last, ok := v.Get()
	data, err := last.Bytes()
	if err != nil || !ok || last.Len() != 4<<20 || data[0] != 'k' || data[len(data)-1] != 'k' {
		t.Fatalf("newest: %v %v %d", ok, err, last.Len())
	}
	if old, err := first.Bytes(); err != nil || old[0] != 'a' || old[len(old)-1] != 'a' {
		t.Errorf("the first one changed under its reader: %v", err)
	}
	runtime.KeepAlive(first)
	first = Blob{}
	eventually.True(t, "superseded mappings are gone", func() bool { return mapped(t) <= 1 })
	if data, _ := last.Bytes(); data[1<<20] != 'k' {
		t.Error("the newest is gone too")
	}
	runtime.KeepAlive(last)
	if _, err := (Blob{}).Bytes(); err == nil || first.Len() != 0 {
		t.Error("the zero Blob has bytes")
	}
}

// mapped counts the mappings of payloads in this process. Boards, which stay mapped, are writable.
func mapped(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "memfd:") && strings.Contains(line, " r--p ") {
			n++
		}
	}
	return n
}

func TestCachedReadAllocatesNothing(t *testing.T) {
	w, _ := withMaster(t, map[string]any{"n": 50})
	v := Cached[int](w, "n")
	if n := testing.AllocsPerRun(100, func() { v.Get() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCachedGet(b *testing.B) {
	w, err := Start(WithLogger(quiet()))
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Publish(b.Context(), "n", 50); err != nil {
		b.Fatal(err)
	}
	v := Cached[int](w, "n")
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		n, _ := v.Get()
		sum += n
	}
	if sum == 0 {
		b.Fatal("not read")
	}
}

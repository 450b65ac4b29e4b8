package ipc

import (
	"os"
	"testing"
	"unsafe"
)

func newTestBoard(t testing.TB) *Board {
	t.Helper()
	b, err := NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// shareBoard opens the board as a worker does.
func shareBoard(t testing.TB, b *Board) *Board {
	t.Helper()
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	w, err := OpenBoard(hot, rows)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestBoardIsShared(t *testing.T) {
	keepsFDs(t)
	b := newTestBoard(t)
	w := shareBoard(t, b)
	for _, slot := range []int{0, 1, MaxSlots - 1} {
		b.Line(slot).Flags.Store(FlagClosed)
		w.Line(slot).Accepted[1].Add(uint64(slot) + 2)
		w.Line(slot).Released[1].Add(Weight)
		if got, want := b.Line(slot).Held(1), int64(slot+1)*Weight; got != want {
			t.Errorf("slot %d holds %d, wanted %d", slot, got, want)
		}
		if w.Line(slot).Flags.Load() != FlagClosed {
			t.Errorf("slot %d is not closed for the worker", slot)
		}
		for seat := range Seats {
			b.Row(slot, seat).Reset(uint64(10*slot + seat))
			r := w.Row(slot, seat)
			if r.Worker.Load() != uint64(10*slot+seat) || r.Started.Load() <= 0 {
				t.Errorf("slot %d, seat %d: worker %d since %d", slot, seat, r.Worker.Load(), r.Started.Load())
			}
			r.Classes[1].Add(4)
			r.Classes[ClassUnknown].Add(3)
			c := r.Begin(int64(100 + slot))
			if start, ok := b.Row(slot, seat).Oldest(); !ok || start != int64(100+slot) || b.Row(slot, seat).InFlight() != 1 {
				t.Errorf("oldest is %d, %t", start, ok)
			}
			r.End(c)
			if s := b.Row(slot, seat).Stats(); s.Requests != 7 || r.Requests() != 7 {
				t.Errorf("%d requests", s.Requests)
			}
			if _, ok := b.Row(slot, seat).Oldest(); ok || r.InFlight() != 0 {
				t.Error("a request is in flight that has ended")
			}
		}
		b.SetTable(slot, uint16(slot))
		if w.TableAt(slot) != uint16(slot) {
			t.Errorf("table has %d", w.TableAt(slot))
		}
	}
	if a := uintptr(unsafe.Pointer(b.Line(1))); a%LineBytes != 0 || a-uintptr(unsafe.Pointer(b.Header())) != LinesOffset+LineBytes {
		t.Errorf("line 1 is at %#x, the header at %p", a, b.Header())
	}
	if a := uintptr(unsafe.Pointer(b.Row(1, 1))); a-uintptr(unsafe.Pointer(b.Row(0, 0))) != 3*RowBytes {
		t.Errorf("row 1, 1 is at %#x", a)
	}
}

func TestAssignCarriesTheBoard(t *testing.T) {
	keepsFDs(t)
	a, c := channel(t)
	b := newTestBoard(t)
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	sock := memory(t, 10) // stands for a socket
	sent := Assign{
		Slot: 5, Seat: 1, Board: true, Hot: hot, Rows: rows,
		Listeners: []Listener{{"tcp", ":7000"}}, Files: []*os.File{sock},
	}
	if err := a.Write(sent); err != nil {
		t.Fatal(err)
	}
	Discard(sent)
	got := next[Assign](t, c)
	if !got.Board || got.Seat != 1 || len(got.Files) != 1 {
		t.Fatalf("%#v", got)
	}
	if st, err := got.Files[0].Stat(); err != nil || st.Size() != 10 {
		t.Errorf("the listener's file is %v, %v", st, err)
	}
	got.Files[0].Close()
	w, err := OpenBoard(got.Hot, got.Rows)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Line(5).Accepted[1].Add(1)
	if b.Line(5).Held(1) != Weight {
		t.Errorf("the slot holds %d", b.Line(5).Held(1))
	}
}

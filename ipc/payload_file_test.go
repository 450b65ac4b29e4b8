package ipc

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// lend returns a descriptor of its own for a payload's file, as another process gets one.
func lend(t testing.TB, p *Payload) *os.File {
	t.Helper()
	f, err := Duplicate(p.File())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPayloadFile: what has the file has the payload, however long the first one lives.
func TestPayloadFile(t *testing.T) {
	keepsFDs(t)
	small := newPayload(t, pattern(HeapMax, 1))
	if f := small.File(); f != nil {
		t.Errorf("a small payload has the file %s", f.Name())
	}
	small.Release()
	for _, n := range []int{HeapMax + 1, 3 << 20} {
		p := newPayload(t, pattern(n, 1))
		f := p.File()
		if f != p.File() {
			t.Error("another file each time")
		}
		q, err := PayloadFromFile(lend(t, p), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		q.Prepare()
		if q.Len() != n || !q.Mapped() || !q.Equal(p) {
			t.Errorf("%d bytes became %d others", n, q.Len())
		}
		p.Release()
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the file outlives its payload: %v", err)
		}
		if !bytes.Equal(content(t, q), pattern(n, 1)) {
			t.Errorf("%d bytes have changed", n)
		}
		a, b := channel(t)
		if err := a.Write(Message{Topic: "t", Payload: q}); err != nil {
			t.Fatal(err)
		}
		r := next[Message](t, b).Payload
		third, err := PayloadFromFile(lend(t, r), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		q.Release()
		r.Release()
		if !bytes.Equal(content(t, third), pattern(n, 1)) {
			t.Error("the bytes have changed on their way")
		}
		third.Release()
	}
}

// TestPayloadFromFileRefuses what another size has, and closes it.
func TestPayloadFromFileRefuses(t *testing.T) {
	keepsFDs(t)
	p := newPayload(t, pattern(HeapMax+1, 1))
	defer p.Release()
	for _, n := range []int64{-1, 0, 1, HeapMax, HeapMax + 2, MaxPayload + 1, -1 << 63, 1<<63 - 1} {
		f := lend(t, p)
		q, err := PayloadFromFile(f, n)
		if err == nil || q != nil {
			t.Errorf("%d bytes of %d are accepted", n, p.Len())
		}
		if n > MaxPayload && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%d bytes: the file is not closed: %v", n, err)
		}
	}
	gone := lend(t, p)
	gone.Close()
	if _, err := PayloadFromFile(gone, HeapMax+1); err == nil {
		t.Error("a closed file is accepted")
	}
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := PayloadFromFile(pipe, 1); err == nil {
		t.Error("a pipe is accepted")
	}
}

package ipc

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestPayloadSizes(t *testing.T) {
	keepsFDs(t)
	for _, n := range []int{0, 1, 63, 64, HeapMax - 1, HeapMax, HeapMax + 1, segmentReads + 7, 3 << 20} {
		b := pattern(n, 1)
		p := newPayload(t, b)
		q, err := ReadPayload(iotest.HalfReader(bytes.NewReader(b)), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		if p.Len() != n || q.Len() != n || p.large() != (n > HeapMax) || q.large() != p.large() {
			t.Errorf("%d bytes: lengths %d and %d, large %v and %v", n, p.Len(), q.Len(), p.large(), q.large())
		}
		if *p.digest() != *q.digest() {
			t.Errorf("%d bytes: copied and streamed have different digests", n)
		}
		if !p.Equal(q) || !q.Equal(p) || !p.Equal(p) {
			t.Errorf("%d bytes: not equal to themselves", n)
		}
		if !bytes.Equal(content(t, p), b) || !bytes.Equal(content(t, q), b) {
			t.Errorf("%d bytes: changed", n)
		}
		if n > 0 {
			other := bytes.Clone(b)
			other[n-1] ^= 1
			o := newPayload(t, other)
			if p.Equal(o) || o.Equal(p) {
				t.Errorf("%d bytes: equal to others", n)
			}
			o.Release()
		}
		p.Release()
		q.Release()
	}
}

func TestPayloadIsACopy(t *testing.T) {
	b := []byte("before")
	p := newPayload(t, b)
	copy(b, "after!")
	if got := string(content(t, p)); got != "before" {
		t.Errorf("changed with its source: %q", got)
	}
}

func TestReadPayloadTooLarge(t *testing.T) {
	keepsFDs(t)
	for _, c := range []struct{ n, max int }{{1, 0}, {11, 10}, {HeapMax + 2, HeapMax + 1}, {HeapMax + 1, HeapMax}, {1 << 20, 1<<20 - 1}} {
		if _, err := ReadPayload(bytes.NewReader(pattern(c.n, 0)), int64(c.max)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes, %d allowed: %v", c.n, c.max, err)
		}
	}
	endless := &countingReader{}
	if _, err := ReadPayload(endless, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless: %v", err)
	}
	if endless.n > 1<<20+1 {
		t.Errorf("read %d bytes of an endless source", endless.n)
	}
}

type countingReader struct{ n int }

func (r *countingReader) Read(b []byte) (int, error) { r.n += len(b); return len(b), nil }

func TestReadPayloadFails(t *testing.T) {
	keepsFDs(t)
	boom := errors.New("boom")
	for _, n := range []int{0, 10, 1 << 20} {
		r := io.MultiReader(bytes.NewReader(pattern(n, 0)), iotest.ErrReader(boom))
		if _, err := ReadPayload(r, 1<<30); !errors.Is(err, boom) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestPayloadReferences(t *testing.T) {
	keepsFDs(t)
	for _, n := range []int{10, HeapMax + 1} {
		p := newPayload(t, pattern(n, 3))
		var wg sync.WaitGroup
		for range 16 {
			p.Retain()
			wg.Go(func() {
				defer p.Release()
				for range 50 {
					q := p.Retain()
					if b, err := q.Bytes(); err != nil || len(b) != n || b[n-1] != pattern(n, 3)[n-1] {
						t.Errorf("%d bytes, %v", len(b), err)
					}
					q.Release()
				}
			})
		}
		p.Release()
		wg.Wait()
		for what, use := range map[string]func(){
			"Bytes":   func() { _, _ = p.Bytes() },
			"Retain":  func() { p.Retain() },
			"Release": func() { p.Release() },
			"Equal":   func() { p.Equal(p) },
			"encode": func() {
				_, _ = appendFrame(nil, Message{Topic: "t", Payload: p})
				_, _ = descriptors(Message{Payload: p})
			},
		} {
			if got := panicOf(use); !strings.Contains(got, "released payload") {
				t.Errorf("%s of a released payload of %d bytes: panic %q", what, n, got)
			}
		}
	}
}

func panicOf(f func()) (msg string) {
	defer func() { msg, _ = recover().(string) }()
	f()
	return ""
}

// TestInline: the same bytes, with a descriptor and without, are equal either way, and others are not.
func TestInline(t *testing.T) {
	keepsFDs(t)
	before := openFDs(t)
	for _, n := range []int{1, HeapMax, HeapMax + 1, InlineMax, InlineMax + 1} {
		p, other := newPayload(t, pattern(n, 1)), newPayload(t, pattern(n, 2))
		q, err := p.Retain().Inline()
		if n > InlineMax {
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes: %v", n, err)
			}
			q = p.Retain()
		} else if err != nil || q.Mapped() || !bytes.Equal(content(t, q), pattern(n, 1)) {
			t.Errorf("%d bytes: %v, mapped %v", n, err, q.Mapped())
		}
		if !p.Equal(q) || !q.Equal(p) || other.Equal(q) || q.Equal(other) {
			t.Errorf("%d bytes: equal %v and %v, to others %v and %v", n, p.Equal(q), q.Equal(p), other.Equal(q), q.Equal(other))
		}
		for _, p := range []*Payload{p, q, other} {
			p.Release()
		}
	}
	if n := openFDs(t) - before; n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}

// TestPrepare: a large payload that was received is compared only after it was read once.
func TestPrepare(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		a, b := channel(t)
		p := newPayload(t, pattern(size, 1))
		if err := a.Write(Message{Topic: "t", Payload: p}); err != nil {
			t.Fatal(err)
		}
		q := next[Message](t, b).Payload
		if large := q.Mapped(); q.Equal(p) == large {
			t.Errorf("%d bytes: large %v, equal %v before they were read", size, large, !large)
		}
		q.Prepare()
		if !q.Equal(p) || !p.Equal(q) || *q.digest() != *p.digest() {
			t.Errorf("%d bytes: digest %#x, want %#x", size, *q.digest(), *p.digest())
		}
		if q.Mapped() != (size > HeapMax) {
			t.Errorf("%d bytes: mapped %v", size, q.Mapped())
		}
		p.Release()
		q.Release()
	}
}

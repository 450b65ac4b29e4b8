package ipc

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Payload is an immutable byte string that is shared by counting references.
//
// Up to HeapMax bytes it lives on the heap. A larger one is a sealed memory file, so that one copy serves all
// processes; it is mapped read-only when somebody first asks for its bytes, and unmapped and closed when the last
// reference is released. Use after that is a mistake in the program and panics.
//
// A Payload starts with one reference. All methods may be called at the same time from several goroutines, as long as each
// holds a reference.
type Payload struct {
	refs atomic.Int64
	n    int
	sum  atomic.Uint64 // 0: not known yet
	heap []byte
	seg  *segment
	stop runtime.Cleanup
}

// HeapMax is where a memory file becomes cheaper for many receivers than a copy for each: a mapping costs each of them
// about as much as copying this many bytes twice, and no garbage. The wire format leaves a sender the choice up to
// InlineMax.
const HeapMax = 32 << 10

// segment is what a large payload holds of the operating system. It is apart from Payload so that the cleanup of a
// forgotten payload can reach it.
type segment struct {
	fd   int
	n    int
	mu   sync.Mutex
	file *os.File // that has fd, once somebody asked for it or gave it; closes it
	view []byte
	err  error
}

var seed = maphash.MakeSeed()

// segmentReads is the buffer size for streaming into and out of segments.
const segmentReads = 256 << 10

// NewPayload copies b.
func NewPayload(b []byte) (*Payload, error) {
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("cannot make a payload of %d bytes, at most %d: %w", len(b), MaxPayload, ErrTooLarge)
	}
	if len(b) <= HeapMax {
		p := newHeapPayload(b)
		p.sum.Store(maphash.Bytes(seed, b))
		return p, nil
	}
	w, err := newSegmentWriter()
	if err != nil {
		return nil, fmt.Errorf("cannot make a payload of %d bytes: %w", len(b), err)
	}
	if _, err := w.Write(b); err != nil {
		w.abort()
		return nil, fmt.Errorf("cannot make a payload of %d bytes: %w", len(b), err)
	}
	return w.finish()
}

// ReadPayload reads r to its end. What goes past HeapMax is streamed into the memory file and never is on the heap as
// a whole. More than max bytes, or than MaxPayload, gives an error that wraps ErrTooLarge.
func ReadPayload(r io.Reader, max int64) (*Payload, error) {
	if max > MaxPayload {
		max = MaxPayload
	}
	first, err := io.ReadAll(io.LimitReader(r, HeapMax+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read payload: %w", err)
	}
	if int64(len(first)) > max {
		return nil, fmt.Errorf("cannot read payload of over %d bytes: %w", max, ErrTooLarge)
	}
	if len(first) <= HeapMax {
		return NewPayload(first)
	}
	w, err := newSegmentWriter()
	if err != nil {
		return nil, fmt.Errorf("cannot make a payload: %w", err)
	}
	if _, err := w.Write(first); err != nil {
		w.abort()
		return nil, fmt.Errorf("cannot make a payload: %w", err)
	}
	rest := io.Reader(r)
	if max < math.MaxInt64 {
		rest = io.LimitReader(r, max-int64(len(first))+1)
	}
	buf := segmentBuffers.Get().(*[]byte)
	defer segmentBuffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{rest}, *buf); err != nil {
		w.abort()
		return nil, fmt.Errorf("cannot read payload after %d bytes: %w", w.n, err)
	}
	if w.n > max {
		w.abort()
		return nil, fmt.Errorf("cannot read payload of over %d bytes: %w", max, ErrTooLarge)
	}
	return w.finish()
}

var segmentBuffers = sync.Pool{New: func() any { b := make([]byte, segmentReads); return &b }}

func newHeapPayload(b []byte) *Payload {
	own := make([]byte, len(b))
	copy(own, b)
	p := &Payload{n: len(b), heap: own}
	p.refs.Store(1)
	return p
}

// newSegmentPayload takes over fd.
func newSegmentPayload(fd, n int, sum uint64) *Payload {
	p := &Payload{n: n, seg: &segment{fd: fd, n: n}}
	p.refs.Store(1)
	p.sum.Store(sum)
	p.stop = runtime.AddCleanup(p, (*segment).free, p.seg)
	return p
}

// Len is the length in bytes.
func (p *Payload) Len() int { return p.n }

// Bytes returns the content, which nobody may change. It is valid until the caller's reference is released: reading it
// later is reading unmapped memory.
func (p *Payload) Bytes() ([]byte, error) {
	p.mustLive()
	if p.seg == nil {
		return p.heap, nil
	}
	b, err := p.seg.bytes()
	if err != nil {
		return nil, fmt.Errorf("cannot map payload of %d bytes: %w", p.n, err)
	}
	return b, nil
}

// Retain adds a reference and returns p.
func (p *Payload) Retain() *Payload {
	if p.refs.Add(1) <= 1 {
		p.refs.Add(-1)
		panic("ipc: Retain of a released payload")
	}
	return p
}

// Release gives a reference back. The last one frees what the payload holds.
func (p *Payload) Release() {
	switch n := p.refs.Add(-1); {
	case n < 0:
		p.refs.Add(1)
		panic("ipc: Release of a released payload")
	case n == 0 && p.seg != nil:
		p.stop.Stop()
		p.seg.free()
	}
}

// Equal compares the content: lengths first, then hashes, which are kept, and only then bytes. It does not map.
func (p *Payload) Equal(q *Payload) bool {
	p.mustLive()
	q.mustLive()
	if p == q {
		return true
	}
	if p.n != q.n {
		return false
	}
	if p.seg == nil {
		return (p.n < 64 || p.hash() == q.hash()) && bytes.Equal(p.heap, q.heap)
	}
	a, b := p.hash(), q.hash()
	return a != 0 && a == b && sameSegments(p.seg, q.seg)
}

// Prepare computes now what the first Equal of a received payload would: a program that compares in a place where it must
// not wait does this before.
func (p *Payload) Prepare() {
	p.mustLive()
	p.hash()
}

// Mapped says whether the payload holds a descriptor, as large ones do.
func (p *Payload) Mapped() bool { return p.large() }

func (p *Payload) mustLive() {
	if p.refs.Load() <= 0 {
		panic("ipc: use of a released payload")
	}
}

func (p *Payload) large() bool     { return p.seg != nil }
func (p *Payload) inline() []byte  { p.mustLive(); return p.heap }
func (p *Payload) descriptor() int { p.mustLive(); return p.seg.fd }

func (p *Payload) inlineLen() int {
	if p == nil {
		return 0
	}
	return len(p.heap)
}

// hash is 0 when the content cannot be read. A received payload is hashed when it is first compared, since most never are.
func (p *Payload) hash() uint64 {
	if h := p.sum.Load(); h != 0 {
		return h
	}
	var h uint64
	if p.seg == nil {
		h = maphash.Bytes(seed, p.heap)
	} else {
		h = p.seg.hash()
	}
	p.sum.Store(h)
	return h
}

func (s *segment) bytes() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil && s.err == nil {
		s.view, s.err = unix.Mmap(s.fd, 0, s.n, unix.PROT_READ, mapFlags(s.n))
	}
	return s.view, s.err
}

func (s *segment) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view != nil {
		_ = unix.Munmap(s.view)
		s.view = nil
	}
	switch {
	case s.file != nil:
		_ = s.file.Close()
	case s.fd >= 0:
		_ = unix.Close(s.fd)
	}
	s.fd = -1
}

// hash and sameSegments read instead of mapping: a fault on a mapped page under a memory limit would end the process.

func (s *segment) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	buf := segmentBuffers.Get().(*[]byte)
	defer segmentBuffers.Put(buf)
	for off := 0; off < s.n; {
		n, err := s.readAt((*buf)[:min(len(*buf), s.n-off)], off)
		if err != nil {
			return 0
		}
		h.Write((*buf)[:n])
		off += n
	}
	return h.Sum64()
}

func sameSegments(a, b *segment) bool {
	x, y := segmentBuffers.Get().(*[]byte), segmentBuffers.Get().(*[]byte)
	defer segmentBuffers.Put(x)
	defer segmentBuffers.Put(y)
	for off := 0; off < a.n; {
		n, err := a.readAt((*x)[:min(len(*x), a.n-off)], off)
		if err != nil {
			return false
		}
		for got := 0; got < n; {
			m, err := b.readAt((*y)[got:n], off+got)
			if err != nil {
				return false
			}
			got += m
		}
		if !bytes.Equal((*x)[:n], (*y)[:n]) {
			return false
		}
		off += n
	}
	return true
}

func (s *segment) readAt(b []byte, off int) (int, error) {
	for {
		n, err := unix.Pread(s.fd, b, int64(off))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return n, nil
		}
	}
}

// segmentWriter fills a new segment and hashes what goes by.
type segmentWriter struct {
	fd int
	n  int64
	h  maphash.Hash
}

func newSegmentWriter() (*segmentWriter, error) {
	fd, err := createSegment()
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{fd: fd}
	w.h.SetSeed(seed)
	return w, nil
}

func (w *segmentWriter) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Write(w.fd, b[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		w.h.Write(b[done : done+n])
		done += n
		w.n += int64(n)
	}
	return done, nil
}

func (w *segmentWriter) abort() { _ = unix.Close(w.fd) }

func (w *segmentWriter) finish() (*Payload, error) {
	if err := sealSegment(w.fd); err != nil {
		w.abort()
		return nil, fmt.Errorf("cannot seal payload of %d bytes: %w", w.n, err)
	}
	return newSegmentPayload(w.fd, int(w.n), w.h.Sum64()), nil
}

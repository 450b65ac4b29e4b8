package ipc

import (
	"bytes"
	"fmt"
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
// processes; it is mapped read-only when its bytes are first asked for, and unmapped and closed when the last
// reference is released. Use after that is a mistake in the program and panics.
//
// A Payload starts with one reference. All methods may be called at the same time from several goroutines, as long as each
// holds a reference.
type Payload struct {
	refs atomic.Int64
	n    int
	sum  atomic.Pointer[digest] // of a large one; nil: not known yet
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
	file *os.File // that has fd, once it was asked for or given; closes it
	view []byte
	err  error
}

// segmentReads is the buffer size for streaming into and out of segments.
const segmentReads = 256 << 10

// NewPayload copies b.
func NewPayload(b []byte) (*Payload, error) {
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("cannot make a payload of %d bytes, at most %d: %w", len(b), MaxPayload, ErrTooLarge)
	}
	if len(b) <= HeapMax {
		return newHeapPayload(b), nil
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

// NewInlinePayload copies b, of up to InlineMax bytes, into a payload that holds no descriptor: see [Payload.Inline].
func NewInlinePayload(b []byte) (*Payload, error) {
	if len(b) > InlineMax {
		return nil, fmt.Errorf("cannot hold %d bytes without a memory file, at most %d: %w", len(b), InlineMax, ErrTooLarge)
	}
	return newHeapPayload(b), nil
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
func newSegmentPayload(fd, n int, sum *digest) *Payload {
	p := &Payload{n: n, seg: &segment{fd: fd, n: n}}
	p.refs.Store(1)
	p.sum.Store(sum)
	p.stop = runtime.AddCleanup(p, (*segment).free, p.seg)
	return p
}

// Len is the length in bytes.
func (p *Payload) Len() int { return p.n }

// Bytes returns the content, which must not be changed. It is valid until the caller's reference is released: reading it
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

// Equal compares the content, up to HeapMax bytes by themselves and more by their digests. It reads no large payload, so that
// it never takes long: one that was received, or made of a file, is equal to no other one until [Payload.Prepare] has read it.
func (p *Payload) Equal(q *Payload) bool {
	p.mustLive()
	q.mustLive()
	switch {
	case p == q:
		return true
	case p.n != q.n:
		return false
	case p.seg == nil && q.seg == nil:
		return bytes.Equal(p.heap, q.heap)
	}
	a, b := p.digest(), q.digest()
	return a != nil && b != nil && *a == *b
}

// Prepare reads a large payload once, for Equal: where it may take its time, about 0.2 s for 1 GiB.
func (p *Payload) Prepare() {
	p.mustLive()
	if p.seg != nil && p.sum.Load() == nil {
		p.sum.Store(p.seg.digest())
	}
}

// Inline returns a payload of the same bytes that holds no descriptor: p itself if it is one. It takes over the reference to p in
// any case. Such a payload has up to InlineMax bytes.
func (p *Payload) Inline() (*Payload, error) {
	p.mustLive()
	if p.seg == nil {
		return p, nil
	}
	defer p.Release()
	if p.n > InlineMax {
		return nil, fmt.Errorf("cannot hold %d bytes without a memory file, at most %d: %w", p.n, InlineMax, ErrTooLarge)
	}
	q := &Payload{n: p.n, heap: make([]byte, p.n)}
	for got := 0; got < p.n; {
		n, err := p.seg.readAt(q.heap[got:], got)
		if err != nil {
			return nil, fmt.Errorf("cannot read payload of %d bytes: %w", p.n, err)
		}
		got += n
	}
	q.refs.Store(1)
	return q, nil
}

// Mapped reports whether the payload holds a descriptor, as large ones do.
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

// digest is nil as long as a large payload has not been read.
func (p *Payload) digest() *digest {
	if p.seg != nil {
		return p.sum.Load()
	}
	var h hasher
	h.init()
	h.Write(p.heap)
	return h.digest()
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

// digest reads instead of mapping: a fault on a mapped page under a memory limit would end the process. It is nil when the
// content cannot be read.
func (s *segment) digest() *digest {
	var h hasher
	h.init()
	buf := segmentBuffers.Get().(*[]byte)
	defer segmentBuffers.Put(buf)
	for off := 0; off < s.n; {
		n, err := s.readAt((*buf)[:min(len(*buf), s.n-off)], off)
		if err != nil {
			return nil
		}
		h.Write((*buf)[:n])
		off += n
	}
	return h.digest()
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

// segmentWriter fills a new segment and digests what goes by.
type segmentWriter struct {
	fd int
	n  int64
	h  hasher
}

func newSegmentWriter() (*segmentWriter, error) {
	fd, err := createSegment()
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{fd: fd}
	w.h.init()
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
	return newSegmentPayload(w.fd, int(w.n), w.h.digest()), nil
}

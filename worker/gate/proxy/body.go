package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// body is the body of the client's request, and whether it can still be sent again. It is read by one goroutine at a time.
type body struct {
	io.ReadCloser
	most int // bytes that are kept as they are read, so that the body can be sent again

	touched atomic.Bool // a byte of it was asked for from the client
	ended   atomic.Bool // all of it was read from the client
	failed  atomic.Bool // reading it has met an error
	fault   error       // that error; it is read once failed is seen
	lost    atomic.Bool // more was read than is kept

	kept []byte // all that was read, until lost
	at   int    // of kept, what the attempt that is being made has read
}

// Read reads what is kept from before, and then from the client.
func (b *body) Read(p []byte) (int, error) {
	if b.at < len(b.kept) {
		n := copy(p, b.kept[b.at:])
		b.at += n
		return n, nil
	}
	n, err := b.fetch(p)
	if n > 0 && !b.lost.Load() {
		if len(b.kept)+n > b.most {
			b.lost.Store(true)
			b.kept, b.at = nil, 0
		} else {
			b.kept = append(b.kept, p[:n]...)
			b.at = len(b.kept)
		}
	}
	return n, err
}

// fetch reads from the client.
func (b *body) fetch(p []byte) (int, error) {
	b.touched.Store(true)
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.ended.Store(true)
	default:
		if !b.failed.Load() {
			b.fault = err
		}
		b.failed.Store(true)
	}
	return n, err
}

// rewind begins again with what is kept. It reports whether that is all that was read.
func (b *body) rewind() bool {
	b.at = 0
	return !b.lost.Load() && !b.failed.Load()
}

// again reports whether it can be sent again, and nothing is being read of it.
func (b *body) again() bool {
	return !b.touched.Load() || b.ended.Load() && !b.lost.Load()
}

// peek reads at most n bytes ahead, and keeps them. whole: they are all of the body.
func (b *body) peek(n int) (ahead []byte, whole bool) {
	for len(b.kept) < n && !b.ended.Load() && !b.failed.Load() && !b.lost.Load() {
		part := make([]byte, min(n-len(b.kept), 4<<10))
		got, _ := b.fetch(part)
		b.kept = append(b.kept, part[:got]...)
	}
	if len(b.kept) == n && !b.ended.Load() && !b.failed.Load() && !b.lost.Load() { // the end may come right behind
		var one [1]byte
		got, _ := b.fetch(one[:])
		b.kept = append(b.kept, one[:got]...)
	}
	return b.kept[:min(len(b.kept), n)], b.ended.Load() && !b.lost.Load() && len(b.kept) <= n
}

// ErrLongBody is the error of PeekBody for a body of more bytes.
var ErrLongBody = errors.New("the body is longer than is looked at")

// PeekBody returns the body of a request if it has at most most bytes: it waits until the client has sent them. The request keeps its
// body whole. For a longer body the error is ErrLongBody, and for one that cannot be read it is another one. What PeekBody returns must
// not be changed.
func PeekBody(r *http.Request, most int) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > int64(most) {
		return nil, ErrLongBody
	}
	if b, ok := r.Body.(*body); ok {
		ahead, whole := b.peek(most)
		switch {
		case whole:
			return ahead, nil
		case b.failed.Load():
			return nil, errors.New("the body cannot be read")
		}
		return nil, ErrLongBody
	}
	ahead, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(ahead), r.Body), r.Body}
	switch {
	case err != nil:
		return nil, err
	case len(ahead) > most:
		return nil, ErrLongBody
	}
	return ahead, nil
}

package ipc

import (
	"fmt"
	"os"
)

// File is the sealed memory file of a large payload, and nil for one of up to HeapMax bytes. It is the payload's own: closed
// with the last reference, and not to be closed before. A process that gets it (by SCM_RIGHTS, at its start, by dup) makes with
// [PayloadFromFile] a payload of the same bytes.
func (p *Payload) File() *os.File {
	p.mustLive()
	if p.seg == nil {
		return nil
	}
	p.seg.mu.Lock()
	defer p.seg.mu.Unlock()
	if p.seg.file == nil {
		p.seg.file = os.NewFile(uintptr(p.seg.fd), "payload")
	}
	return p.seg.file
}

// PayloadFromFile makes a payload of a memory file of n bytes, 1 to MaxPayload. It takes over f, and closes it if it fails: when f
// has another size, is not sealed against changes, or is not a memory file. On systems without such files it
// cannot tell, and trusts the processes that have the file.
//
// The content is not read: what was in it is its maker's affair. See [Payload.Prepare].
func PayloadFromFile(f *os.File, n int64) (*Payload, error) {
	fd, err := verifyPayloadFile(f, n)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot make a payload of %d bytes of the file %s: %w", n, f.Name(), err)
	}
	p := newSegmentPayload(fd, int(n), nil)
	p.seg.file = f
	return p, nil
}

func verifyPayloadFile(f *os.File, n int64) (fd int, err error) {
	if n > MaxPayload {
		return -1, fmt.Errorf("at most %d: %w", MaxPayload, ErrTooLarge)
	}
	if n < 1 {
		return -1, fmt.Errorf("at least 1 is needed")
	}
	if fd, err = Descriptor(f); err != nil {
		return -1, err
	}
	return fd, verifySegment(fd, n)
}

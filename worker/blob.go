package worker

import (
	"errors"
	"runtime"

	"github.com/tinehq/tine/ipc"
)

// Blob is a cached value that is not copied: over 32 KiB, all workers map the same memory. The bytes are read-only;
// writing to them faults. They stay valid, and in memory, as long as the Blob or a copy of it is reachable, so keep
// the Blob while working on them:
//
//	b, _ := table.Get()
//	data, err := b.Bytes()
//	…
//	runtime.KeepAlive(b)
//
// The garbage collector gives the memory of a Blob back that was superseded and is unreachable. While more than 32 MiB of
// those wait for it, the worker starts a collection, at most one a second.
type Blob struct{ ref *blobRef }

type blobRef struct {
	payload *ipc.Payload
	mapping *mapping // nil: there is no payload
	bytes   []byte
	err     error
}

// errNoBlob is the error of the zero Blob.
var errNoBlob = errors.New("there is no value")

func newBlob(e entry, of *mappings) Blob {
	r := &blobRef{payload: e.payload}
	r.bytes, r.err = e.bytes()
	if e.payload != nil {
		r.mapping = newMapping(of, e.payload)
		runtime.AddCleanup(r, (*mapping).free, r.mapping)
	}
	return Blob{r}
}

// Len is the number of bytes.
func (b Blob) Len() int {
	if b.ref == nil || b.ref.payload == nil {
		return 0
	}
	return b.ref.payload.Len()
}

// Bytes returns the mapped bytes.
func (b Blob) Bytes() ([]byte, error) {
	if b.ref == nil {
		return nil, errNoBlob
	}
	return b.ref.bytes, b.ref.err
}

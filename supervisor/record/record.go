package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// Version is that of the format.
const Version = 1

// MaxBlob bounds a blob, in bytes.
const MaxBlob = 64 << 20

const (
	magic      = "tine rec"
	headBytes  = 64
	entryBytes = 64 // of which entryUsed
	entryUsed  = 32
	blobsAt    = 4096
)

// ErrEmpty: nothing was ever written, or nothing of it is whole.
var ErrEmpty = errors.New("the record is empty")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one value in a file. Any number of processes may read it at any time; of those that Write, each must have ended
// before the next begins, or have agreed with it that it writes no more. Within a process it is not safe for concurrent use.
type Record struct {
	f *os.File

	// What the Appends since the last Write or ReadAll know, so that none has to look for the end: of the entry with that
	// number; 0: it is to be looked for.
	number  uint64
	index   uint32
	patches uint64 // where the first is
	end     uint64 // of the last
}

// New makes a record of a file, whose content is lost: mostly one of Memory. The file stays the caller's, and is used until
// the last Read or Write; there is nothing to close beside it.
func New(f *os.File) (*Record, error) {
	var head [blobsAt]byte
	copy(head[:], magic)
	binary.LittleEndian.PutUint32(head[8:], Version)
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(head[:], 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a record in %s: %w", f.Name(), err)
	}
	return &Record{f: f}, nil
}

// Open returns the record that another process has made in a file. It fails if that is none, or of another version. The
// file stays the caller's.
func Open(f *os.File) (*Record, error) {
	var head [headBytes]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("too short")
		}
		return nil, fmt.Errorf("cannot open the record in %s: %w", f.Name(), err)
	}
	if got := string(head[:len(magic)]); got != magic {
		return nil, fmt.Errorf("cannot open the record in %s: it begins with %q", f.Name(), got)
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != Version {
		return nil, fmt.Errorf("cannot open the record in %s: its format has version %d, and %d is known here", f.Name(), v, Version)
	}
	return &Record{f: f}, nil
}

// entry is one of the two that say where a blob is.
type entry struct {
	number   uint64 // 0: not written, or not whole
	offset   uint64
	length   uint64
	checksum uint32 // of the blob
}

func (e entry) end() uint64 { return e.offset + e.length }

func (e entry) encode() []byte {
	b := make([]byte, 0, entryUsed)
	b = binary.LittleEndian.AppendUint64(b, e.number)
	b = binary.LittleEndian.AppendUint64(b, e.offset)
	b = binary.LittleEndian.AppendUint64(b, e.length)
	b = binary.LittleEndian.AppendUint32(b, e.checksum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeEntry returns the zero entry for what cannot be one, so that no caller has to check its bounds again.
func decodeEntry(b []byte) entry {
	if crc32.Checksum(b[:entryUsed-4], castagnoli) != binary.LittleEndian.Uint32(b[entryUsed-4:]) {
		return entry{}
	}
	e := entry{
		number: binary.LittleEndian.Uint64(b), offset: binary.LittleEndian.Uint64(b[8:]),
		length: binary.LittleEndian.Uint64(b[16:]), checksum: binary.LittleEndian.Uint32(b[24:]),
	}
	if e.length > MaxBlob || e.offset < blobsAt || e.offset > blobsAt+4*MaxBlob {
		return entry{}
	}
	return e
}

// entries returns both, the current one first, and the place of each.
func (r *Record) entries() (e [2]entry, at [2]int64, err error) {
	var b [2 * entryBytes]byte
	if _, err := r.f.ReadAt(b[:], headBytes); err != nil {
		return e, at, err
	}
	e[0], e[1] = decodeEntry(b[:]), decodeEntry(b[entryBytes:])
	at = [2]int64{headBytes, headBytes + entryBytes}
	if e[1].number > e[0].number {
		e[0], e[1], at[0], at[1] = e[1], e[0], at[1], at[0]
	}
	return e, at, nil
}

// attempts bounds how often Read looks again when a writer is faster.
const attempts = 100

// Read returns the newest blob that is whole, without its patches. The slice belongs to the caller. It fails with ErrEmpty if
// there is none.
func (r *Record) Read() ([]byte, error) {
	blob, _, err := r.ReadAll()
	return blob, err
}

// ReadAll returns the newest blob that is whole, with the patches that were appended to it since, in their order. The slices
// belong to the caller. It fails with ErrEmpty if there is none.
func (r *Record) ReadAll() (blob []byte, patches [][]byte, err error) {
	blob, patches, err = r.read()
	if err != nil && !errors.Is(err, ErrEmpty) {
		err = fmt.Errorf("cannot read the record in %s: %w", r.f.Name(), err)
	}
	return blob, patches, err
}

func (r *Record) read() (blob []byte, patches [][]byte, err error) {
	entries, _, err := r.entries()
	if err != nil {
		return nil, nil, err
	}
	for range attempts {
		blob, ok, err := r.blob(entries[0])
		if err == nil && ok {
			patches, err = r.patchesOf(entries[0])
		}
		if err != nil {
			return nil, nil, err
		}
		before := entries[0].number
		if entries, _, err = r.entries(); err != nil {
			return nil, nil, err
		}
		switch {
		case entries[0].number != before: // a writer was faster
			continue
		case ok:
			return blob, patches, nil
		}
		// It is broken and stays so. Only now the one before counts: else a reader could see the record go back.
		blob, ok, err = r.blob(entries[1])
		if err == nil && ok {
			patches, err = r.patchesOf(entries[1])
		}
		if err != nil || ok {
			return blob, patches, err
		}
		return nil, nil, ErrEmpty
	}
	return nil, nil, fmt.Errorf("it was written anew each of %d times", attempts)
}

// blob reads that of an entry; ok is false where it is not whole.
func (r *Record) blob(e entry) (b []byte, ok bool, err error) {
	if e.number == 0 {
		return nil, false, nil
	}
	st, err := r.f.Stat()
	if err != nil {
		return nil, false, err
	}
	if st.Size() < int64(e.end()) { // before memory is made for it
		return nil, false, nil
	}
	b = make([]byte, e.length)
	if _, err := r.f.ReadAt(b, int64(e.offset)); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return b, crc32.Checksum(b, castagnoli) == e.checksum, nil
}

// Write replaces the blob, of at most MaxBlob bytes. After an error the one before is still there.
func (r *Record) Write(blob []byte) error {
	if err := r.write(blob); err != nil {
		return fmt.Errorf("cannot write %d bytes to the record in %s: %w", len(blob), r.f.Name(), err)
	}
	return nil
}

func (r *Record) write(blob []byte) error {
	if len(blob) > MaxBlob {
		return fmt.Errorf("at most %d are possible", MaxBlob)
	}
	// Read each time: a writer before may have gone on after this one was opened.
	entries, at, err := r.entries()
	if err != nil {
		return err
	}
	current := entries[0]
	next := entry{number: current.number + 1, length: uint64(len(blob)), checksum: crc32.Checksum(blob, castagnoli)}
	if err := r.seek(current); err != nil {
		return err
	}
	next.offset = place(current, r.end, next.length)
	if next.number == 0 {
		return errors.New("it has been written too often")
	}
	if _, err := r.f.WriteAt(blob, int64(next.offset)); err != nil {
		return err
	}
	r.number = 0
	if _, err := r.f.WriteAt(next.encode(), at[1]); err != nil {
		return err
	}
	r.begin(next)
	return nil
}

// place is where a blob does not touch the current one and its patches, which end at end: before it if it fits, else behind.
// Behind is only where the current one begins within the length of the new one, which bounds the file.
func place(current entry, end, length uint64) uint64 {
	const align = 64
	if current.number == 0 || blobsAt+length <= current.offset {
		return blobsAt
	}
	return aligned(end, align)
}

func aligned(n, to uint64) uint64 { return (n + to - 1) / to * to }

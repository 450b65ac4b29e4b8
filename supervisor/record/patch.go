package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	patchHead  = 24
	patchAlign = 8
)

// Append adds a patch of at most MaxBlob bytes to the blob that was written last. After an error there is the blob with the
// patches before, and perhaps this one. It fails with ErrEmpty if there is no blob.
func (r *Record) Append(patch []byte) error {
	if err := r.append(patch); err != nil {
		return fmt.Errorf("cannot append %d bytes to the record in %s: %w", len(patch), r.f.Name(), err)
	}
	return nil
}

// Patched is how many bytes the patches take that were appended by this Record since its last Write.
func (r *Record) Patched() int {
	if r.number == 0 {
		return 0
	}
	return int(r.end - r.patches)
}

func (r *Record) append(patch []byte) error {
	if len(patch) > MaxBlob {
		return fmt.Errorf("at most %d are possible", MaxBlob)
	}
	entries, _, err := r.entries()
	if err != nil {
		return err
	}
	current := entries[0]
	if current.number == 0 {
		return ErrEmpty
	}
	if err := r.seek(current); err != nil {
		return err
	}
	b := make([]byte, 0, patchHead+len(patch)) // one write: more are no safer, and slower
	b = binary.LittleEndian.AppendUint64(b, r.number)
	b = binary.LittleEndian.AppendUint32(b, r.index)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(patch)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(patch, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := r.f.WriteAt(append(b, patch...), int64(r.end)); err != nil {
		return err
	}
	r.index++
	r.end = aligned(r.end+patchHead+uint64(len(patch)), patchAlign)
	return nil
}

// begin notes that an entry has no patch yet.
func (r *Record) begin(e entry) {
	r.number, r.index = e.number, 0
	r.patches = aligned(e.end(), patchAlign)
	r.end = r.patches
}

// seek finds the end of the patches of an entry, unless it is known.
func (r *Record) seek(e entry) error {
	if r.number == e.number {
		return nil
	}
	r.number = 0
	all, err := r.patchesOf(e)
	if err != nil {
		return err
	}
	r.begin(e)
	for _, p := range all {
		r.index++
		r.end = aligned(r.end+patchHead+uint64(len(p)), patchAlign)
	}
	return nil
}

// patchesOf reads the patches of an entry up to the first that is not whole.
func (r *Record) patchesOf(e entry) (all [][]byte, err error) {
	st, err := r.f.Stat()
	if err != nil {
		return nil, err
	}
	size := uint64(st.Size())
	for at := aligned(e.end(), patchAlign); e.number != 0 && at+patchHead <= size; {
		var head [patchHead]byte
		if _, err := r.f.ReadAt(head[:], int64(at)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		length := uint64(binary.LittleEndian.Uint32(head[12:]))
		fits := crc32.Checksum(head[:patchHead-4], castagnoli) == binary.LittleEndian.Uint32(head[patchHead-4:]) &&
			binary.LittleEndian.Uint64(head[:]) == e.number && binary.LittleEndian.Uint32(head[8:]) == uint32(len(all))
		if !fits || length > MaxBlob || at+patchHead+length > size {
			break
		}
		patch := make([]byte, length)
		if _, err := r.f.ReadAt(patch, int64(at+patchHead)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if crc32.Checksum(patch, castagnoli) != binary.LittleEndian.Uint32(head[16:]) {
			break
		}
		all = append(all, patch)
		at = aligned(at+patchHead+length, patchAlign)
	}
	return all, nil
}

package cache

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/tinehq/tine/ipc"
)

// decode returns the first record and its length; 0 if there is none.
func (j *Journal) decode(b []byte) (kind byte, e Entry, bytes int64) {
	if len(b) < recordHead {
		return 0, Entry{}, 0
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < bodyHead || n > maxBody || len(b) < recordHead+n {
		return 0, Entry{}, 0
	}
	body := b[recordHead : recordHead+n]
	if j.checksum(body) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, Entry{}, 0
	}
	kind, e, ok := decodeBody(body)
	if !ok {
		return 0, Entry{}, 0
	}
	return kind, e, int64(recordHead + n)
}

// checksum is that of a record of this log: what is left of another one is none.
func (j *Journal) checksum(body []byte) uint32 {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], j.number)
	return crc32.Update(crc32.Checksum(number[:], castagnoli), castagnoli, body)
}

// decodeBody returns an Entry whose Value is part of b.
func decodeBody(b []byte) (kind byte, e Entry, ok bool) {
	if len(b) < bodyHead {
		return 0, Entry{}, false
	}
	kind = b[0]
	key, source := int(binary.LittleEndian.Uint16(b[17:])), int(b[19])
	rest := b[bodyHead:]
	if len(rest) < key+source {
		return 0, Entry{}, false
	}
	e = Entry{
		Key: string(rest[:key]), Source: string(rest[key : key+source]), Deleted: kind == kindDeleted,
		Epoch: binary.LittleEndian.Uint64(b[1:]), ChangedAt: time.Unix(0, int64(binary.LittleEndian.Uint64(b[9:]))),
	}
	data := rest[key+source:]
	switch kind {
	case kindValue:
		e.Value, ok = data, len(data) <= ipc.HeapMax
	case kindFile:
		if len(data) <= sizeBytes || len(data) > sizeBytes+maxName {
			return kind, e, false
		}
		e.FileSize, e.File = int64(binary.LittleEndian.Uint64(data)), string(data[sizeBytes:])
		ok = e.FileSize > 0
	case kindDeleted, kindEpoch:
		ok = len(data) == 0
	}
	return kind, e, ok && key <= ipc.MaxKey && (key > 0) == (kind != kindEpoch)
}

// encode appends a record, and the zeros that end the log until the next one is there.
func (j *Journal) encode(b []byte, kind byte, e Entry) []byte {
	begin := len(b)
	b = append(b, make([]byte, recordHead)...)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, e.Epoch)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.ChangedAt.UnixNano()))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Key)))
	source := e.Source[:min(len(e.Source), MaxSource)]
	b = append(b, byte(len(source)))
	b = append(append(b, e.Key...), source...)
	switch kind {
	case kindValue:
		b = append(b, e.Value...)
	case kindFile:
		b = append(binary.LittleEndian.AppendUint64(b, uint64(e.FileSize)), e.File...)
	}
	j.seal(b[begin:])
	return append(b, 0, 0, 0, 0)
}

// seal writes the head of a record.
func (j *Journal) seal(record []byte) {
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint32(record[4:], j.checksum(record[recordHead:]))
}

package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
)

// JournalVersion is that of the format of a Journal.
const JournalVersion = 1

// MaxJournal bounds what a Journal keeps, in bytes. Its file gets up to five times as long, and takes up to three times as much
// memory, on Linux, for a moment.
const MaxJournal = 64 << 20

// MaxSource is how many bytes of a source's text a Journal keeps.
const MaxSource = 255

// ErrJournalFull: the value is not in the journal, and neither is the one that the key had before.
var ErrJournalFull = errors.New("the journal is full")

// Entry is one change of one key, as a Journal keeps it: what [ValueStatus] shows, but for when the value was confirmed last, which
// would take a write every few seconds for each key.
type Entry struct {
	Key       string // 1 to ipc.MaxKey bytes
	Epoch     uint64
	ChangedAt time.Time
	Source    string // cut off after MaxSource bytes
	Deleted   bool
	File      string // what the memory file of a large value is stored as, up to 255 bytes; then there is no Value
	FileSize  int64  // of that file, in bytes, from 1; only with File
	Value     []byte // up to ipc.HeapMax bytes
}

// Bytes is the length of the value, wherever that is.
func (e Entry) Bytes() int64 {
	if e.File != "" {
		return e.FileSize
	}
	return int64(len(e.Value))
}

// Journal keeps the values of a store in a file in memory, so that the next master has them. Its writer may be killed at any
// instruction: then the last change is in it or not. One goroutine of one process owns it; the process that opens it next must
// know that the one before writes no more.
//
// # Format
//
// All numbers are little-endian. The file begins with "tine jnl", and the version in 4 bytes. Two entries of 20 bytes
// follow, at 64 and 128: a number, the offset of a log, and the CRC-32C of both in 4 bytes. The log of the higher number
// counts. It is a sequence of records, which ends with 4 zero bytes, or with bytes that are not a whole record:
//
//	 0  4  length of the body
//	 4  4  CRC-32C of the log's number and the body
//	 8  1  kind: 1 value, 2 name of a file, 3 deleted, 4 only the epoch
//	 9  8  epoch; it grows from record to record, but for kind 4, where it may be that of the one before, and for what is
//	       said again
//	17  8  time of the change, in ns since 1970
//	25  2  length of the key
//	27  1  length of the source
//	28     key, source, and to the end of the body the value, or the size of the file in 8 bytes and its name
//
// A record with the epoch that its key has already says that again: of the same change with another source, or that its value is
// lost.
//
// When less than half of the log is still needed, that part is written as a new log, before the old one if it fits, else behind
// it; then the entry that does not count is written, and so counts.
type Journal struct {
	f      *os.File
	number uint64 // of the log
	place  int64  // of its entry
	start  int64  // of the log
	end    int64  // where the next record goes
	epoch  uint64
	live   map[string]span
	used   int64 // bytes of those
	buf    []byte
}

// span is where a live record is.
type span struct {
	at    int64
	bytes int64
	epoch uint64
}

const (
	journalMagic = "tine jnl"
	journalHead  = 192
	journalEntry = 64 // of which 20 bytes
	journalFloor = 256 << 10
	recordHead   = 8
	bodyHead     = 20
	sizeBytes    = 8
	maxName      = 255
	maxBody      = bodyHead + ipc.MaxKey + MaxSource + ipc.HeapMax
)

const (
	kindValue = 1 + iota
	kindFile
	kindDeleted
	kindEpoch
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewJournal makes a journal of a file, whose content is lost. The file stays the caller's.
func NewJournal(f *os.File) (*Journal, error) {
	j := &Journal{f: f, number: 1, place: 64, start: journalHead, end: journalHead, live: map[string]span{}}
	head := make([]byte, journalHead+recordHead)
	copy(head, journalMagic)
	binary.LittleEndian.PutUint32(head[8:], JournalVersion)
	copy(head[j.place:], j.entry())
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(head, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a journal in %s: %w", f.Name(), err)
	}
	return j, nil
}

// OpenJournal returns a journal that another process has written, to be continued, with what it has: the last Entry of each
// key that is not deleted, in the order of their epochs, and the epoch of the last change of all. The file stays the
// caller's.
func OpenJournal(f *os.File) (j *Journal, entries []Entry, epoch uint64, err error) {
	j = &Journal{f: f, live: map[string]span{}}
	if err := j.open(); err != nil {
		return nil, nil, 0, fmt.Errorf("cannot open the journal in %s: %w", f.Name(), err)
	}
	if err := j.replay(); err != nil {
		return nil, nil, 0, fmt.Errorf("cannot read the journal in %s: %w", f.Name(), err)
	}
	read := bodies{f: f}
	for _, s := range j.sorted() {
		body, err := read.next(s)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("cannot read the journal in %s: %w", f.Name(), err)
		}
		_, e, _ := decodeBody(body)
		e.Value = slices.Clone(e.Value)
		entries = append(entries, e)
	}
	return j, entries, j.epoch, nil
}

func (j *Journal) open() error {
	var head [journalHead]byte
	if _, err := j.f.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("too short")
		}
		return err
	}
	if got := string(head[:8]); got != journalMagic {
		return fmt.Errorf("it begins with %q", got)
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != JournalVersion {
		return fmt.Errorf("its format has version %d, and %d is known here", v, JournalVersion)
	}
	for place := int64(64); place < journalHead; place += journalEntry {
		b := head[place:]
		number, start := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		if crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) ||
			number <= j.number || number > 1<<62 || start < journalHead || start > 4*MaxJournal {
			continue
		}
		j.number, j.place, j.start = number, place, int64(start)
	}
	if j.number == 0 {
		return errors.New("it has no log")
	}
	return nil
}

func (j *Journal) entry() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 20), j.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(j.start))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// replay finds what is live, and where the log ends: at the first bytes that are not a whole record of it.
func (j *Journal) replay() error {
	const piece = 256 << 10
	buf := make([]byte, 0, piece)
	at := j.start // of the first byte of buf
	for at-j.start <= 4*MaxJournal {
		n, err := j.f.ReadAt(buf[len(buf):cap(buf)], at+int64(len(buf)))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			kind, e, bytes := j.decode(rest)
			if bytes == 0 || !j.follows(kind, e) {
				break
			}
			j.note(kind, e.Key, span{at, bytes, e.Epoch})
			rest, at = rest[bytes:], at+bytes
		}
		j.end = at
		if n == 0 || len(rest) >= recordHead+maxBody {
			return nil // there is no more, or a whole record would be here
		}
		buf = append(buf[:0], rest...)
	}
	return nil
}

// follows reports whether a record of e may be the next one.
func (j *Journal) follows(kind byte, e Entry) bool {
	switch {
	case e.Epoch > j.epoch:
		return true
	case kind == kindEpoch:
		return e.Epoch == j.epoch
	}
	return j.Has(e.Key, e.Epoch)
}

// note takes a record into account.
func (j *Journal) note(kind byte, key string, s span) {
	j.epoch = max(j.epoch, s.epoch)
	if kind == kindEpoch {
		return
	}
	j.used -= j.live[key].bytes
	delete(j.live, key)
	if kind != kindDeleted {
		j.live[key] = s
		j.used += s.bytes
	}
}

// Append adds a change, whose epoch must be higher than that of the last one. With the epoch that the key has already it
// replaces that entry: the same value has another source now, or, with Deleted, is lost. After ErrJournalFull the key is as if
// it had been deleted; after another error the last change is still the last one.
func (j *Journal) Append(e Entry) error {
	if err := j.append(e); err != nil {
		return fmt.Errorf("cannot add %q of epoch %d to the journal in %s: %w", e.Key, e.Epoch, j.f.Name(), err)
	}
	return nil
}

func (j *Journal) append(e Entry) error {
	kind := byte(kindValue)
	switch {
	case len(e.Key) == 0 || len(e.Key) > ipc.MaxKey:
		return fmt.Errorf("keys have 1 to %d bytes", ipc.MaxKey)
	case !j.follows(kind, e):
		return fmt.Errorf("epoch %d was before", j.epoch)
	case e.Deleted:
		kind = kindDeleted
	case e.File != "":
		kind = kindFile
		if len(e.File) > maxName {
			return fmt.Errorf("names have at most %d bytes", maxName)
		}
		if e.FileSize < 1 {
			return fmt.Errorf("a file of %d bytes", e.FileSize)
		}
	case len(e.Value) > ipc.HeapMax:
		return fmt.Errorf("%d bytes, at most %d are possible", len(e.Value), ipc.HeapMax)
	}
	var full error
	size := int64(recordHead + bodyHead + len(e.Key) + MaxSource + len(e.Value) + sizeBytes + len(e.File))
	if kind != kindDeleted && j.used-j.live[e.Key].bytes+size > MaxJournal {
		kind, full = kindDeleted, ErrJournalFull
	}
	if log := j.end - j.start; log > 2*j.used+journalFloor {
		if err := j.compact(); err != nil {
			return err
		}
	}
	j.buf = j.encode(j.buf[:0], kind, e)
	if _, err := j.f.WriteAt(j.buf, j.end); err != nil {
		return err
	}
	s := span{j.end, int64(len(j.buf)) - 4, e.Epoch}
	j.note(kind, e.Key, s)
	j.end += s.bytes
	return full
}

// AppendEpoch adds that the last change had at least this epoch, whatever it was.
func (j *Journal) AppendEpoch(epoch uint64) error {
	if epoch <= j.epoch {
		return nil
	}
	j.buf = j.encode(j.buf[:0], kindEpoch, Entry{Epoch: epoch, ChangedAt: time.Unix(0, 0)})
	if _, err := j.f.WriteAt(j.buf, j.end); err != nil {
		return fmt.Errorf("cannot add epoch %d to the journal in %s: %w", epoch, j.f.Name(), err)
	}
	j.epoch, j.end = epoch, j.end+int64(len(j.buf))-4
	return nil
}

// Crowded says that values of n bytes should be kept elsewhere: the last quarter is for what is small.
func (j *Journal) Crowded(n int) bool { return j.used+int64(n) > MaxJournal/4*3 }

// Epoch is that of the last change.
func (j *Journal) Epoch() uint64 { return j.epoch }

// Has reports whether the key's entry is that of this epoch.
func (j *Journal) Has(key string, epoch uint64) bool {
	said, ok := j.live[key]
	return ok && said.epoch == epoch
}

const bodiesAhead = 128 << 10

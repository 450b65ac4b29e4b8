package cache

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// sorted returns the live records in the order of their epochs.
func (j *Journal) sorted() []span {
	return slices.SortedFunc(maps.Values(j.live), func(a, b span) int { return cmp.Compare(a.epoch, b.epoch) })
}

// bodies reads records, the next ones along with one, since most come in the order in which they are.
type bodies struct {
	f  *os.File
	at int64  // of b
	b  []byte // of the log
	on []byte // one record that is before that
}

// next returns the body of a record, in memory that the call after it uses again.
func (r *bodies) next(s span) ([]byte, error) {
	if s.at < r.at {
		r.on = slices.Grow(r.on[:0], int(s.bytes))[:s.bytes]
		_, err := r.f.ReadAt(r.on, s.at)
		return r.on[recordHead:], err
	}
	if s.at+s.bytes > r.at+int64(len(r.b)) {
		r.b = slices.Grow(r.b[:0], bodiesAhead)[:bodiesAhead]
		n, err := r.f.ReadAt(r.b, s.at)
		r.at, r.b = s.at, r.b[:n]
		if int64(n) < s.bytes {
			return nil, cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	return r.b[s.at-r.at+recordHead:][:s.bytes-recordHead], nil
}

// compact writes what is live as a new log. Until the very last write the old one counts.
func (j *Journal) compact() error {
	next := &Journal{f: j.f, number: j.number + 1, place: 64 + 128 - j.place, live: make(map[string]span, len(j.live))}
	room := j.used + recordHead + bodyHead + 4
	if next.start = j.end + 4; journalHead+room <= j.start {
		next.start = journalHead
	}
	next.end = next.start
	const piece = 256 << 10
	out := make([]byte, 0, min(j.used, piece)+maxBody)
	written := next.start
	flush := func() error {
		_, err := j.f.WriteAt(out, written)
		written, out = written+int64(len(out)), out[:0]
		return err
	}
	read := bodies{f: j.f}
	for _, s := range j.sorted() {
		body, err := read.next(s)
		if err != nil {
			return err
		}
		begin := len(out)
		out = append(append(out, make([]byte, recordHead)...), body...)
		next.seal(out[begin:])
		_, e, ok := decodeBody(body)
		if !ok {
			return fmt.Errorf("the record at %d has changed", s.at)
		}
		next.note(body[0], e.Key, span{next.end, s.bytes, s.epoch})
		next.end += s.bytes
		if len(out) >= piece {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	begin := len(out)
	out = next.encode(out, kindEpoch, Entry{Epoch: j.epoch, ChangedAt: time.Unix(0, 0)})
	next.end += int64(len(out)-begin) - 4
	next.epoch = j.epoch
	if err := flush(); err != nil {
		return err
	}
	if _, err := j.f.WriteAt(next.entry(), next.place); err != nil {
		return err
	}
	next.buf = j.buf
	*j = *next
	// What is before and behind the log counts no more. If the memory cannot be given back, nothing else fails.
	_ = j.f.Truncate(j.end + 4)
	punchHole(j.f, journalHead, j.start)
	return nil
}

package cache

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc"
)

// Pack keeps the bytes of many values in one file in memory, for those that a Journal has no room for: one descriptor for all
// of them, and nothing is ever moved. The file is a row of places of ipc.InlineMax bytes; a value has one of them to itself, of
// which only the pages that it needs take memory. A Journal's entry says which: the place's name is its File.
//
// Like the Journal, its writer may be killed at any instruction. A value is written to a place that no entry names, then the
// entry is appended, and only then the place of the value before it is given back: so what an entry names is always whole. One
// goroutine of one process owns it.
type Pack struct {
	f     *os.File
	most  int   // places
	end   int   // places that were used so far
	free  []int // of those
	bytes int64 // of the values
}

// Place is where a value is in a Pack.
type Place struct {
	number int
	bytes  int
	sum    uint32 // CRC-32C
}

const (
	// MaxPack is how many values a Pack keeps.
	MaxPack = 32 << 10
	// packPrefix begins the name of a place: its number and its checksum follow.
	packPrefix = "value.pack#"
)

// NewPack makes a pack of an empty file, which stays the caller's, for at most so many values.
func NewPack(f *os.File, most int) *Pack { return &Pack{f: f, most: most} }

// OpenPack returns a pack that another process has written, to be continued. What is in other places than those used is given
// back. The file stays the caller's.
func OpenPack(f *os.File, most int, used []Place) *Pack {
	p := NewPack(f, most)
	taken := map[int]bool{}
	for _, at := range used {
		taken[at.number] = true
		p.end = max(p.end, at.number+1)
		p.bytes += int64(at.bytes)
	}
	if info, err := f.Stat(); err == nil {
		punchHole(f, int64(p.end)*ipc.InlineMax, info.Size())
	}
	for n := p.end - 1; n >= 0; n-- {
		if !taken[n] {
			p.give(n)
		}
	}
	return p
}

// Put writes a value of 1 to ipc.InlineMax bytes. ErrJournalFull: there is no place left.
func (p *Pack) Put(b []byte) (Place, error) {
	if len(b) < 1 || len(b) > ipc.InlineMax {
		return Place{}, fmt.Errorf("cannot pack a value of %d bytes: 1 to %d are possible", len(b), ipc.InlineMax)
	}
	at := Place{p.end, len(b), crc32.Checksum(b, castagnoli)}
	switch last := len(p.free) - 1; {
	case last >= 0:
		at.number, p.free = p.free[last], p.free[:last]
	case p.end >= p.most:
		return Place{}, ErrJournalFull
	default:
		p.end++
	}
	if _, err := p.f.WriteAt(b, at.offset()); err != nil {
		p.give(at.number)
		return Place{}, fmt.Errorf("cannot pack a value of %d bytes in %s: %w", len(b), p.f.Name(), err)
	}
	p.bytes += int64(len(b))
	return at, nil
}

// Get reads a value.
func (p *Pack) Get(at Place) ([]byte, error) { return ReadPlace(p.f, at) }

// ReadPlace reads a value of a pack that is not open yet.
func ReadPlace(f *os.File, at Place) ([]byte, error) {
	b := make([]byte, at.bytes)
	if _, err := f.ReadAt(b, at.offset()); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("cannot read place %d of the values in %s: %w", at.number, f.Name(), err)
	}
	if sum := crc32.Checksum(b, castagnoli); sum != at.sum {
		return nil, fmt.Errorf("cannot read place %d of the values in %s: its checksum is %08x instead of %08x", at.number, f.Name(), sum, at.sum)
	}
	return b, nil
}

// Drop gives a place back, when no entry names it any more.
func (p *Pack) Drop(at Place) {
	p.bytes -= int64(at.bytes)
	p.give(at.number)
}

func (p *Pack) give(number int) {
	from := int64(number) * ipc.InlineMax
	punchHole(p.f, from, from+ipc.InlineMax)
	p.free = append(p.free, number)
}

// Bytes is the length of all values in it.
func (p *Pack) Bytes() int64 { return p.bytes }

func (at Place) offset() int64 { return int64(at.number) * ipc.InlineMax }

// Name is the place's, as an Entry's File.
func (at Place) Name() string { return fmt.Sprintf("%s%d#%08x", packPrefix, at.number, at.sum) }

// PlaceOf is the place of an Entry whose File names one; false: it is the name of a file.
func PlaceOf(e Entry) (Place, bool) {
	rest, ok := strings.CutPrefix(e.File, packPrefix)
	number, sum, found := strings.Cut(rest, "#")
	if !ok || !found || e.FileSize < 1 || e.FileSize > ipc.InlineMax {
		return Place{}, false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n >= MaxPack {
		return Place{}, false
	}
	s, err := strconv.ParseUint(sum, 16, 32)
	if err != nil {
		return Place{}, false
	}
	return Place{int(n), int(e.FileSize), uint32(s)}, true
}

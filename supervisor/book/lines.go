package book

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// MaxLines is how many lines of one app are kept.
	MaxLines = 10_000
	// MaxPiece is the most bytes of a line that should be kept as one: a longer one is added in pieces.
	MaxPiece = 64 << 10

	bookText = 1 << 20 // bytes of text that are kept of one app
)

// Lines keeps a copy of the newest lines of each app, and of the master itself, in memory, for readers that ask what was printed
// or follow it.
//
// Readers pull: each has a place on every shelf, and what is kept is the backlog of all of them at once. A reader that is so
// slow that its next line has been dropped is told how many it has missed. A reader costs a writer no more than a wake-up.
//
// Safe for concurrent use. The zero value is not: see [NewLines].
type Lines struct {
	// ids is the id of the newest line. A line gets its id while its shelf is locked: a reader that loads ids, and locks a
	// shelf after that, finds every line up to that id on it.
	ids     atomic.Uint64
	awaited atomic.Bool // a reader waits for changed

	mu      sync.Mutex
	changed chan struct{}     // closed by the next line
	shelves map[string]*Shelf // by app; "" is the master's
	closed  bool
}

// NewLines makes an empty book.
func NewLines() *Lines { return &Lines{shelves: map[string]*Shelf{}} }

// Shelf returns the shelf of an app, and makes it if it is new; "" is the master's.
func (b *Lines) Shelf(app string) *Shelf {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shelves[app]
	if s == nil {
		s = &Shelf{book: b, App: app}
		b.shelves[app] = s
	}
	return s
}

// Forget drops what is kept of an app. Lines that are added to its shelf later are not found.
func (b *Lines) Forget(app string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.shelves, app)
}

// all returns the shelves that a query for an app may find something on.
func (b *Lines) all(app string) []*Shelf {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []*Shelf
	for name, s := range b.shelves {
		if app == "" || name == "" || name == app {
			found = append(found, s)
		}
	}
	return found
}

// await returns a channel that is closed by the first line after this call, or when the book is closed.
func (b *Lines) await() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
		if b.closed {
			close(b.changed)
		}
	}
	b.awaited.Store(!b.closed)
	return b.changed
}

func (b *Lines) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeLocked()
}

func (b *Lines) wakeLocked() {
	b.awaited.Store(false)
	if b.changed != nil && !b.closed {
		close(b.changed)
		b.changed = nil
	}
}

// Close ends all readers that follow, once they have read what is kept.
func (b *Lines) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeLocked()
	b.closed = true
}

func (b *Lines) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Origin says which process printed a line, or which one a line of the master is about.
type Origin struct {
	App    string // "": none
	Slot   int    // from 0; -1: none
	Worker uint64 // number of the worker; 0: none
	PID    int    // 0: none
	Stream string
}

// Shelf has the newest lines of one app, in two rings that grow up to their bounds. Safe for concurrent use.
type Shelf struct {
	App  string // name of the app; "": the master's shelf
	book *Lines

	mu    sync.Mutex
	lines []bookLine // the line with number n is at n modulo its length
	first uint64     // number of the oldest line
	next  uint64     // number of the next line to come; numbers are without gaps
	text  []byte     // a byte at place p is at p modulo its length, a power of two
	begin uint64     // place of the oldest line's text
	end   uint64     // place after the newest one's
	gone  uint64     // id of the newest line that was dropped; 0: none was
}

// bookLine is a line on a shelf.
type bookLine struct {
	id    uint64
	at    int64 // ns since 1970
	place uint64
	size  int32
	level zerolog.Level
	more  bool // the line goes on in the next of the same origin
	from  *Origin
}

// NoLevel is the level of a line that has none, such as that of a worker.
const NoLevel = zerolog.NoLevel

// Add keeps one line, without its line break, and drops the oldest ones as far as it needs their room. Of a line longer than
// 1 MiB the beginning is kept. more says that the line goes on in the next one of the same origin. Add copies line, keeps
// from, which must not change any more, and never waits for a reader.
func (s *Shelf) Add(from *Origin, at time.Time, level zerolog.Level, line []byte, more bool) {
	line = line[:min(len(line), bookText)]
	s.mu.Lock()
	s.makeRoom(len(line))
	id := s.book.ids.Add(1)
	*s.line(s.next) = bookLine{
		id: id, at: at.UnixNano(), place: s.end, size: int32(len(line)), level: level, more: more, from: from,
	}
	s.next++
	if n := copy(s.text[s.end&uint64(len(s.text)-1):], line); n < len(line) {
		copy(s.text, line[n:])
	}
	s.end += uint64(len(line))
	s.mu.Unlock()
	if s.book.awaited.Load() {
		s.book.wake()
	}
}

// makeRoom leaves place for one line of n bytes.
func (s *Shelf) makeRoom(n int) {
	if s.text == nil {
		s.text, s.lines = make([]byte, 4<<10), make([]bookLine, 64)
	}
	need := s.end - s.begin + uint64(n)
	if size := len(s.text); need > uint64(size) && size < bookText {
		for size < bookText && uint64(size) < need {
			size *= 2
		}
		grown := make([]byte, size)
		for p := s.begin; p < s.end; {
			from, to := s.text[p&uint64(len(s.text)-1):], grown[p&uint64(size-1):]
			p += uint64(copy(to, from[:min(uint64(len(from)), s.end-p)]))
		}
		s.text = grown
	}
	if held := len(s.lines); s.next-s.first == uint64(held) && held < MaxLines {
		grown := make([]bookLine, min(2*held, MaxLines))
		for n := s.first; n < s.next; n++ {
			grown[n%uint64(len(grown))] = *s.line(n)
		}
		s.lines = grown
	}
	for s.next-s.first == uint64(len(s.lines)) || s.end-s.begin+uint64(n) > uint64(len(s.text)) {
		oldest := s.line(s.first)
		s.gone = oldest.id
		s.begin = oldest.place + uint64(oldest.size)
		s.first++
	}
}

// line returns the one with this number, which must be there.
func (s *Shelf) line(n uint64) *bookLine { return &s.lines[n%uint64(len(s.lines))] }

// copyText appends an entry's text to dst.
func (s *Shelf) copyText(dst []byte, e *bookLine) []byte {
	for p, end := e.place, e.place+uint64(e.size); p < end; {
		from := s.text[p&uint64(len(s.text)-1):]
		from = from[:min(uint64(len(from)), end-p)]
		dst = append(dst, from...)
		p += uint64(len(from))
	}
	return dst
}

// search finds the number of the oldest line with at least this id.
func (s *Shelf) search(id uint64) uint64 {
	low, high := s.first, s.next
	for low < high {
		middle := low + (high-low)/2
		if s.line(middle).id < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

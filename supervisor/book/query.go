package book

import (
	"context"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	// A reader takes lines from a shelf in portions, so that it delays a writer by no more than the time to copy one.
	portionLines = 256
	portionText  = 64 << 10

	// followEvery is how long lines gather for a reader that has read all that is kept.
	followEvery = 5 * time.Millisecond
)

// Query gives yield the lines that q chooses, in the order of their ids, from the calling goroutine. It returns yield's error;
// nil at the end of what is kept or, with q.Follow, when ctx ends or the book is closed; and a *api.Refusal for a Grep that
// is not a regular expression. A reader that is too slow, or resumes at an id that is no longer kept, gets a line with Missed
// at the gap: the number of lines that the app printed there, whether q would have chosen them or not. An unknown app has no
// lines.
func (b *Lines) Query(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	f, err := newLineFilter(q)
	if err != nil {
		return err
	}
	more, over := b.await(), b.over()
	r := &bookReader{book: b, filter: f, yield: yield}
	upTo := r.begin(q)
	for {
		if err := r.readOn(ctx, upTo); err != nil || ctx.Err() != nil || !q.Follow || over {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
		pause := time.NewTimer(followEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
		more, over = b.await(), b.over()
		upTo = b.ids.Load()
	}
}

// lineFilter is what a query says about single lines.
type lineFilter struct {
	query api.LogQuery
	since int64
	grep  *regexp.Regexp
}

func newLineFilter(q api.LogQuery) (*lineFilter, error) {
	f := &lineFilter{query: q, since: math.MinInt64}
	if !q.Since.IsZero() {
		f.since = q.Since.UnixNano()
	}
	if q.Grep != "" {
		grep, err := regexp.Compile(q.Grep)
		if err != nil {
			r := api.Refuse(http.StatusBadRequest, "grep: %v", err)
			r.Field = "grep"
			return nil, r
		}
		f.grep = grep
	}
	return f, nil
}

// head reports whether a line fits by all that is known without its text.
func (f *lineFilter) head(e *bookLine) bool {
	q := &f.query
	return e.at >= f.since && (q.App == "" || e.from.App == q.App) && (q.Stream == "" || e.from.Stream == q.Stream) &&
		(q.Slot == nil || e.from.Slot == *q.Slot) && e.id > q.After
}

func (f *lineFilter) text(text []byte) bool { return f.grep == nil || f.grep.Match(text) }

// bookReader is one query's way through the book.
type bookReader struct {
	book   *Lines
	filter *lineFilter
	yield  func(api.LogLine) error
	places []*bookmark
	start  uint64 // the least id that it reads
}

// bookmark is where a reader is on one shelf.
type bookmark struct {
	*Shelf
	next uint64 // number of the line that comes next

	// Lines that were taken and are not given to yield yet.
	portion []found
	given   int    // of portion
	text    []byte // of portion
	from    uint64 // number of the first line that was looked at
	ids     []uint64
}

// found is a line of a portion; its text is text[from:to].
type found struct {
	bookLine
	from, to int
	missed   uint64 // not 0: it stands for so many lines that are gone
}

// begin finds the line to begin with, and returns the newest id there is.
func (r *bookReader) begin(q api.LogQuery) (newest uint64) {
	newest = r.book.ids.Load()
	if q.After > newest {
		// An id of an earlier master.
		r.filter.query.After, q.After = 0, 0
	}
	r.start = q.After + 1
	if q.Last < 0 {
		r.start = max(r.start, newest+1)
	}
	if q.Last > 0 {
		var ids []uint64
		for _, s := range r.book.all(q.App) {
			ids = append(ids, r.newest(s, q.Last, newest)...)
		}
		slices.Sort(ids)
		if len(ids) > q.Last {
			ids = ids[len(ids)-q.Last:]
		}
		r.start = max(r.start, append(ids, newest+1)[0])
	}
	for _, s := range r.book.all(q.App) {
		p := r.visit(s)
		s.mu.Lock()
		if q.After > 0 && q.Last == 0 && s.gone > q.After && (s.App != "" || q.App == "") {
			// How many of the ids between were this app's is not known any more: at most so many.
			p.next = s.first - min(s.gone-q.After, s.first)
		}
		s.mu.Unlock()
	}
	return newest
}

// visit enters a shelf at the least id that is read.
func (r *bookReader) visit(s *Shelf) *bookmark {
	p := &bookmark{Shelf: s}
	s.mu.Lock()
	p.next = s.search(r.start)
	s.mu.Unlock()
	r.places = append(r.places, p)
	return p
}

// enterNew visits the shelves of apps that came after the query.
func (r *bookReader) enterNew() {
	for _, s := range r.book.all(r.filter.query.App) {
		if !slices.ContainsFunc(r.places, func(p *bookmark) bool { return p.Shelf == s }) {
			r.visit(s)
		}
	}
}

// newest returns the ids of the newest n lines on a shelf that fit.
func (r *bookReader) newest(s *Shelf, n int, upTo uint64) (ids []uint64) {
	var candidates []found
	var text []byte
	before := uint64(math.MaxUint64)
	for {
		candidates, text = candidates[:0], text[:0]
		s.mu.Lock()
		before = min(before, s.next)
		for looked := 0; looked < portionLines && len(text) < portionText && before > s.first; looked++ {
			before--
			e := s.line(before)
			if e.id > upTo || !r.filter.head(e) {
				continue
			}
			from := len(text)
			if r.filter.grep != nil {
				text = s.copyText(text, e)
			}
			candidates = append(candidates, found{bookLine: *e, from: from, to: len(text)})
		}
		end := before <= s.first
		s.mu.Unlock()
		for _, c := range candidates {
			if r.filter.text(text[c.from:c.to]) {
				if ids = append(ids, c.id); len(ids) == n {
					return ids
				}
			}
		}
		if end {
			return ids
		}
	}
}

// readOn yields all up to an id that it has not yielded yet.
func (r *bookReader) readOn(ctx context.Context, newest uint64) error {
	r.enterNew()
	for ctx.Err() == nil {
		upTo := newest
		for _, p := range r.places {
			upTo = min(upTo, p.take(r.filter, newest))
		}
		if err := r.give(ctx, upTo); err != nil || upTo == newest {
			return err
		}
	}
	return nil
}

// take copies the next portion of what there is up to an id. It returns the id up to
// which that is complete.
func (p *bookmark) take(f *lineFilter, upTo uint64) uint64 {
	p.portion, p.text, p.ids, p.given = p.portion[:0], p.text[:0], p.ids[:0], 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next < p.first {
		p.portion = append(p.portion, found{missed: p.first - p.next, bookLine: bookLine{
			id: p.gone, at: p.line(p.first).at, level: NoLevel, from: &Origin{App: p.App, Slot: -1, Stream: api.StreamMaster},
		}})
	}
	p.from = max(p.next, p.first)
	for n := p.from; n < p.Shelf.next; n++ {
		e := p.line(n)
		if e.id > upTo {
			break
		}
		if len(p.ids) == portionLines || len(p.text) >= portionText {
			return e.id - 1
		}
		p.ids = append(p.ids, e.id)
		if f.head(e) {
			from := len(p.text)
			p.text = p.copyText(p.text, e)
			p.portion = append(p.portion, found{bookLine: *e, from: from, to: len(p.text)})
		}
	}
	return upTo
}

// give yields what was taken up to an id, in the order of ids, and goes on behind it.
func (r *bookReader) give(ctx context.Context, upTo uint64) error {
	for {
		var least *bookmark
		for _, p := range r.places {
			if p.given < len(p.portion) && p.portion[p.given].id <= upTo &&
				(least == nil || p.portion[p.given].id < least.portion[least.given].id) {
				least = p
			}
		}
		if least == nil {
			break
		}
		f := &least.portion[least.given]
		least.given++
		text := least.text[f.from:f.to]
		if f.missed == 0 && !r.filter.text(text) {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := r.yield(f.line(text)); err != nil {
			return err
		}
	}
	for _, p := range r.places {
		if len(p.portion) > 0 && p.portion[0].missed > 0 && p.given == 0 {
			continue // that is said next time
		}
		known, _ := slices.BinarySearch(p.ids, upTo+1)
		p.next = p.from + uint64(known)
	}
	return nil
}

func (f *found) line(text []byte) api.LogLine {
	l := api.LogLine{
		ID: f.id, Time: time.Unix(0, f.at), App: f.bookLine.from.App, Worker: f.bookLine.from.Worker, PID: f.bookLine.from.PID,
		Stream: f.bookLine.from.Stream, Text: strings.ToValidUTF8(string(text), "\uFFFD"), Missed: f.missed, Partial: f.more,
	}
	if slot := f.bookLine.from.Slot; slot >= 0 {
		l.Slot = &slot
	}
	if f.level != NoLevel {
		l.Level = f.level.String()
	}
	return l
}

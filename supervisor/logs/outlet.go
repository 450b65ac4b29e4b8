package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tinehq/tine/supervisor/book"
)

// Prefix stands before each line of one stream of a worker or hook. It is read-only; when a standby gets its slot, another
// one takes its place.
type Prefix struct {
	book.Origin
	Text []byte // "web/2[4711] ", or "web/standby[4711] "
	JSON []byte // the middle of a JSON object, between the time and the message
}

// NewPrefix returns the prefix of one stream of a worker. slot is -1 for a standby.
func NewPrefix(app string, slot int, worker uint64, pid int, stream string) *Prefix {
	place := "standby"
	if slot >= 0 {
		place = strconv.Itoa(slot)
	}
	return &Prefix{
		Origin: book.Origin{App: app, Slot: slot, Worker: worker, PID: pid, Stream: stream},
		Text:   fmt.Appendf(nil, "%s/%s[%d] ", app, place, pid),
		JSON:   fmt.Appendf(nil, `","app":%q,"slot":%d,"worker":%d,"pid":%d,"stream":%q,"message":`, app, slot, worker, pid, stream),
	}
}

// NewHookPrefix returns the prefix of a hook's process, of the app and worker in from. The lines name the hook in place of a slot.
func NewHookPrefix(from book.Origin, hook string, pid int) *Prefix {
	from.PID = pid
	return &Prefix{
		Origin: from,
		Text:   fmt.Appendf(nil, "%s/%s[%d] ", from.App, hook, pid),
		JSON:   fmt.Appendf(nil, `","app":%q,"hook":%q,"pid":%d,"stream":%q,"message":`, from.App, hook, pid, from.Stream),
	}
}

// Output returns the Line of an outlet whose Written is not needed.
func (l *Logs) Output(prefix *atomic.Pointer[Prefix]) func(line []byte, more bool) {
	return l.Outlet(prefix).Line
}

// Outlet is one worker stream's way into the log. A line that is a JSON object passes byte for byte, so that programs that
// parse the workers' own logs still can. Any other line gets the worker's name, in the format of the log. For use by one
// goroutine.
type Outlet struct {
	logs      *Logs
	prefix    *atomic.Pointer[Prefix]
	app       *appLog
	stream    string
	continued bool // the last piece goes on in the next
	stamp     timestamp

	last *sink  // to which the last line went
	mark uint64 // of that line

	behind bool // last did not take a line in time and has not caught up yet
}

// Outlet returns an outlet for the stream and the app of prefix, which must not be nil. A later prefix must be of the same.
func (l *Logs) Outlet(prefix *atomic.Pointer[Prefix]) *Outlet {
	first := prefix.Load()
	return &Outlet{logs: l, prefix: prefix, app: l.app(first.App), stream: first.Stream}
}

// Line is a [proc.LineFunc]: it logs one line, or with more a piece of one that goes on in the next call. It waits while the
// destination is full, unless the app's on_full is drop: then the line is dropped and counted.
func (o *Outlet) Line(line []byte, more bool) {
	if 6*len(line) > maxQuoted && (o.continued || more || !isJSONObject(line)) {
		for n := fitting(line); n < len(line); n = fitting(line) {
			o.piece(line[:n], true)
			line = line[n:]
		}
	}
	o.piece(line, more)
}

// fitting returns how many bytes of a line fit into maxQuoted.
func fitting(line []byte) int {
	size := 0
	for i, c := range line {
		switch {
		case c < ' ':
			size += 6
		case c == '"' || c == '\\':
			size += 2
		case c >= utf8.RuneSelf:
			size += 3 // at most: U+FFFD, which stands for a byte that is not UTF-8
		default:
			size++
		}
		if size > maxQuoted {
			for n := i; n > i-utf8.UTFMax && n > 0; n-- {
				if utf8.RuneStart(line[n]) {
					return n
				}
			}
			return i
		}
	}
	return len(line)
}

func (o *Outlet) piece(line []byte, more bool) {
	whole := !o.continued && !more
	o.continued = more
	p, now := o.prefix.Load(), time.Now()
	o.keep(&p.Origin, now, line, more)
	for {
		r := o.app.route.Load()
		dest := r.dest(o.stream)
		if dest != o.last {
			o.Written(true) // the lines that went to the other sink
			o.last, o.mark, o.behind = dest, 0, false
		}
		var ok bool
		switch {
		case !r.json && more:
			ok = o.send(r, p.Text, line, textPartial)
		case !r.json:
			ok = o.send(r, p.Text, line, newline)
		case whole && isJSONObject(line):
			ok = o.send(r, line, newline)
		default:
			message := messages.Get().(*[]byte)
			*message = appendJSONString((*message)[:0], line)
			end := closeObject
			if more {
				end = closePartial
			}
			ok = o.send(r, openObject, o.stamp.at(now), p.JSON, *message, end)
			messages.Put(message)
		}
		if ok {
			break
		}
		if o.app.route.Load() == r {
			dest.lose()
			break
		}
	}
}

// keep puts a line on the shelf, a long one in pieces, so that it does not displace all others at once.
func (o *Outlet) keep(from *book.Origin, now time.Time, line []byte, more bool) {
	for len(line) > book.MaxPiece {
		o.app.shelf.Add(from, now, book.NoLevel, line[:book.MaxPiece], true)
		line = line[book.MaxPiece:]
	}
	o.app.shelf.Add(from, now, book.NoLevel, line, more)
}

// send reports false when the destination takes no more lines.
func (o *Outlet) send(r *route, pieces ...[]byte) (ok bool) {
	var mark uint64
	if r.drop {
		var dropped bool
		if mark, ok, dropped = o.last.Offer(pieces...); dropped {
			o.logs.drop(o.app)
			return ok
		}
	} else {
		mark, ok = o.last.Line(pieces...)
	}
	if ok {
		o.mark = mark
	}
	return ok
}

// Written is a [proc.WrittenFunc]: it waits until the lines of the outlet are written to their destination or lost by its
// rules. With hurry the destination does not gather further lines first. If the app's on_full is drop it waits for 20 ms at most, and
// then not at all until the destination has caught up.
func (o *Outlet) Written(hurry bool) {
	switch {
	case o.last == nil:
	case !o.app.route.Load().drop:
		o.last.Written(o.mark, hurry, 0)
	case o.behind:
		o.behind = !o.last.reached(o.mark)
	default:
		o.behind = !o.last.Written(o.mark, hurry, dropsAfter)
	}
}

// messages are buffers for lines that are being quoted. A line of binary data needs six times its length, and few lines are
// quoted at once.
var messages = sync.Pool{New: func() any { return new([]byte) }}

// timestamp formats times as the log has them, once for each millisecond.
type timestamp struct {
	ms   int64
	text []byte
}

func (t *timestamp) at(now time.Time) []byte {
	if ms := now.UnixMilli(); ms != t.ms || t.text == nil {
		t.ms, t.text = ms, now.AppendFormat(t.text[:0], logTime)
	}
	return t.text
}

// isJSONObject reports whether a line is a JSON object. Most lines are not, so it looks at both ends first.
func isJSONObject(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) >= 2 && line[0] == '{' && line[len(line)-1] == '}' && utf8.Valid(line) && json.Valid(line)
}

// appendJSONString appends what a program printed, which need not be text, as a JSON string. A run of bytes that are not UTF-8
// becomes one U+FFFD.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from, broken := 0, false
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i, broken = i+1, false
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || size > 1 {
				i, broken = i+size, false
				continue
			}
			dst = append(dst, s[from:i]...)
			if !broken {
				dst = utf8.AppendRune(dst, utf8.RuneError)
			}
			broken = true
		} else {
			dst, broken = append(dst, s[from:i]...), false
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			}
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

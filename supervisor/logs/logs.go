package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
)

// flushTimeout bounds the wait for the last log lines when Run ends.
const flushTimeout = 2 * time.Second

// Logs is where everything that a person reads goes: the master's own lines to
// stderr, each worker's stdout and stderr to the stream of the same name, or all
// of it to one file; what an app prints to a file of its own, if it has one; and a
// copy of all of it into the logbook. Safe for concurrent use.
type Logs struct {
	zerolog.Logger
	level    atomic.Int32 // of zerolog.Level: the least that is written
	format   string
	path     string // of the master's log file; "" without
	json     bool
	out, Err *sink
	Book     *book.Lines

	mu      sync.Mutex
	apps    map[string]*appLog
	files   map[string]*sink    // of the apps, by path
	turns   map[string]rotation // of those
	closing sync.WaitGroup      // sinks that nothing goes to any more
}

// New opens the destinations that c names. A nil stdout or stderr stands for
// the process's own.
func New(c config.Log, stdout, stderr io.Writer) (*Logs, error) {
	return Open(c, stdout, stderr, true)
}

// Open is New. Where workers run already, whose master this becomes, a log file
// that cannot be opened must not keep it from that: with must false, the reason goes to
// stderr, and lines are lost until the file can be opened.
func Open(c config.Log, stdout, stderr io.Writer, must bool) (*Logs, error) {
	if stdout == nil {
		stdout = os.Stdout
	}
	if stderr == nil {
		stderr = os.Stderr
	}
	l := &Logs{
		format: c.Format, path: c.File, json: LogsJSON(c, stderr),
		Book: book.NewLines(), apps: map[string]*appLog{},
	}
	if c.File != "" {
		say := func(err error) { l.Error().Err(err).Msg("log file not rotated; the same one is written on") }
		f := newLogFile(c.File, rotation{c.MaxSize, c.MaxAge, c.Keep, c.Compress}, say)
		if err := f.open(); err != nil {
			if must {
				return nil, err
			}
			stderr.Write(l.line("error", fmt.Sprintf("%v; log lines are lost until it can be", err)))
		}
		l.json = c.Format != "text"
		l.Err = l.newFileSink(f, nil)
		l.out = l.Err
	} else {
		l.Err = newSink(stream(stderr), nil, l.lostNotice)
		l.out = l.Err
		if !sameFile(stdout, stderr) { // two who write much into one pipe tear each other's lines
			l.out = newSink(stream(stdout), nil, l.lostNotice)
		}
	}
	var w io.Writer = l.Err
	if !l.json {
		w = zerolog.ConsoleWriter{Out: l.Err, TimeFormat: "15:04:05.000", NoColor: !isTerminal(stderr) || c.File != ""}
	}
	l.SetLevel(c.Level)
	l.Logger = zerolog.New(&book.MasterWriter{Shelf: l.Book.Shelf(""), Next: w}).Hook(l)
	return l, nil
}

// LogsJSON says whether the lines that a master of this config writes to w are JSON, for
// who writes there beside it.
func LogsJSON(c config.Log, w io.Writer) bool {
	return c.Format == "json" || c.Format != "text" && !isTerminal(w)
}

// SetLevel takes effect at once and everywhere; a word that is no level is info.
func (l *Logs) SetLevel(word string) {
	level, err := zerolog.ParseLevel(word)
	if err != nil || word == "" {
		level = zerolog.InfoLevel
	}
	l.level.Store(int32(level))
}

// Run discards what is below the level and dates the rest to the millisecond. (The
// logger's own level cannot change while others use it, and its own timestamp's
// format belongs to the whole process.)
func (l *Logs) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if int32(level) < l.level.Load() {
		e.Discard()
		return
	}
	e.Str(zerolog.TimestampFieldName, time.Now().Format(logTime))
}

const logTime = "2006-01-02T15:04:05.000Z07:00"

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != "null"
}

// Reopen opens all log files anew (SIGUSR1, after they were moved away), and says how
// many there are. One that cannot be opened stays in use as it is.
func (l *Logs) Reopen() (files int, err error) {
	l.mu.Lock()
	sinks := slices.Collect(maps.Values(l.files))
	l.mu.Unlock()
	if l.Err.reopen != nil && !slices.Contains(sinks, l.Err) {
		sinks = append(sinks, l.Err)
	}
	var failed []error
	for _, s := range sinks {
		failed = append(failed, s.Reopen())
	}
	return len(sinks), errors.Join(failed...)
}

// Close writes what is pending, bounded by flushTimeout for each destination, and ends
// those who follow.
func (l *Logs) Close() {
	l.Book.Close()
	l.mu.Lock()
	for _, s := range l.files {
		if s != l.Err {
			l.closing.Go(func() { _ = s.Close(flushTimeout) })
		}
	}
	l.mu.Unlock()
	l.closing.Wait()
	l.Err.Close(flushTimeout)
	if l.out != l.Err {
		l.out.Close(flushTimeout)
	}
}

// line is one of the log's for where the logger does not write.
func (l *Logs) line(level, message string) []byte {
	if l.json {
		return fmt.Appendf(nil, `{"level":%q,"time":%q,"message":%q}`+"\n", level, time.Now().Format(logTime), message)
	}
	return fmt.Appendf(nil, "%s: %s\n", level, message)
}

func (l *Logs) lostNotice(n int, why error) []byte {
	reason := "the log's reader was too slow"
	if why != nil {
		reason = why.Error()
	}
	if l.json {
		return fmt.Appendf(nil, `{"level":"error","time":%q,"lines":%d,"error":%q,"message":"log lines lost"}`+"\n",
			time.Now().Format(logTime), n, reason)
	}
	return fmt.Appendf(nil, "%d log lines lost: %s\n", n, reason)
}

// Panicked begins the line that tells of a panic in the user's code, from within the
// function that recovered.
func (l *Logs) Panicked(p any) *zerolog.Event {
	return l.Error().Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack()))
}

// OutputPrefix is what stands before each line of one worker's stream. It changes
// when a standby is given its slot.
type OutputPrefix struct {
	book.Origin
	Text []byte // "web/2[4711] ", or "web/standby[4711] "
	JSON []byte // the middle of a JSON object, between the time and the message
}

func NewOutputPrefix(app string, slot int, worker uint64, pid int, stream string) *OutputPrefix {
	place := "standby"
	if slot >= 0 {
		place = strconv.Itoa(slot)
	}
	return &OutputPrefix{
		Origin: book.Origin{App: app, Slot: slot, Worker: worker, PID: pid, Stream: stream},
		Text:   fmt.Appendf(nil, "%s/%s[%d] ", app, place, pid),
		JSON:   fmt.Appendf(nil, `","app":%q,"slot":%d,"worker":%d,"pid":%d,"stream":%q,"message":`, app, slot, worker, pid, stream),
	}
}

// Output is the line of an outlet that nobody asks what is written.
func (l *Logs) Output(prefix *atomic.Pointer[OutputPrefix]) func(line []byte, more bool) {
	return l.Outlet(prefix).Line
}

// Outlet is one worker stream's way into the log. A line that is a JSON object
// passes byte for byte, so that whoever parses the workers' own logs still can;
// any other is given the worker's name, in the format that the log is in. For use by
// one goroutine.
type Outlet struct {
	logs      *Logs
	prefix    *atomic.Pointer[OutputPrefix]
	app       *appLog
	stream    string
	continued bool
	stamp     timestamp

	last *sink  // to which the last line went
	mark uint64 // of that line

	behind bool // last has not taken it in time
}

func (l *Logs) Outlet(prefix *atomic.Pointer[OutputPrefix]) *Outlet {
	first := prefix.Load()
	return &Outlet{logs: l, prefix: prefix, app: l.app(first.App), stream: first.Stream}
}

// maxQuoted is how long a piece of a line may be in quotes, where one byte can become six.
const maxQuoted = 512 << 10

// Line is a [proc.LineFunc].
func (o *Outlet) Line(line []byte, more bool) {
	if 6*len(line) > maxQuoted && (o.continued || more || !isJSONObject(line)) {
		for n := fitting(line); n < len(line); n = fitting(line) {
			o.piece(line[:n], true)
			line = line[n:]
		}
	}
	o.piece(line, more)
}

// fitting is how much of a line fits into maxQuoted.
func fitting(line []byte) int {
	size := 0
	for i, c := range line {
		switch {
		case c < ' ':
			size += 6
		case c == '"' || c == '\\':
			size += 2
		case c >= utf8.RuneSelf:
			size += 3 // at most: what stands for a byte that is no UTF-8
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
			o.Written(true) // what went the other way
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

// keep puts a line on the shelf, a long one in pieces: it must not take the place of all others.
func (o *Outlet) keep(from *book.Origin, now time.Time, line []byte, more bool) {
	for len(line) > book.MaxPiece {
		o.app.shelf.AddPart(from, now, book.NoLevel, line[:book.MaxPiece], true)
		line = line[book.MaxPiece:]
	}
	o.app.shelf.AddPart(from, now, book.NoLevel, line, more)
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

// dropsAfter is how long the output of a worker that must not wait waits for a
// destination to fall behind.
const dropsAfter = 20 * time.Millisecond

// Written is a [proc.WrittenFunc]: it waits until the lines are in the file, or with
// whoever reads the master's streams. What is lost by the destination's own rules counts.
// A worker that must not wait does so for dropsAfter once: then its lines leave the pipe
// unwritten until the destination has caught up.
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

// messages are buffers for lines that are being quoted: a long one of rubbish needs six
// times its length, and few are at work at once.
var messages = sync.Pool{New: func() any { return new([]byte) }}

// timestamp writes times as the log has them; of one millisecond only once.
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

var (
	newline     = []byte("\n")
	openObject  = []byte(`{"level":"info","time":"`)
	closeObject = []byte("}\n")

	// What ends a piece of a line that goes on in the next line of the same worker and stream: all pieces but the last.
	closePartial = []byte(`,"partial":true}` + "\n")
	textPartial  = []byte(" [partial]\n")
)

// isJSONObject looks at the ends before it reads all: most lines are none.
func isJSONObject(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) >= 2 && line[0] == '{' && line[len(line)-1] == '}' && utf8.Valid(line) && json.Valid(line)
}

// appendJSONString quotes what a program printed, which need not be text: bytes
// that are no UTF-8 become U+FFFD, a run of them one.
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

// sameFile says whether what is written to a and to b goes to the same place.
func sameFile(a, b io.Writer) bool {
	fa, ok := a.(*os.File)
	fb, ok2 := b.(*os.File)
	if !ok || !ok2 {
		return false
	}
	sa, err := fa.Stat()
	sb, err2 := fb.Stat()
	return err == nil && err2 == nil && os.SameFile(sa, sb)
}

// FreshLines ends what a master that was killed has perhaps not written to its end, where
// our stdout or stderr is a file, so that no line of this one is taken for the rest of it.
// A log file does that itself.
func (l *Logs) FreshLines() {
	for _, s := range []*sink{l.out, l.Err} {
		if f, ok := s.dest.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && endsCut(f.Name(), info.Size()) {
				s.Write(newline)
			}
		}
		if l.out == l.Err {
			return
		}
	}
}

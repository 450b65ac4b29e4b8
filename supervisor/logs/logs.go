package logs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/book"
	"github.com/tinehq/tine/supervisor/config"
)

// flushTimeout bounds the wait for the last lines of one destination.
const flushTimeout = 2 * time.Second

// Logs takes all lines that a person reads. The master's own lines go to stderr, each worker's stdout and stderr to the stream
// of the same name, or all of them to one file; what an app prints goes to the app's file, if it has one; and a copy of each
// line goes into the book. Logging through the embedded Logger never waits for a destination. Safe for concurrent use.
type Logs struct {
	zerolog.Logger
	Book *book.Lines // the copies; Close closes it

	level    atomic.Int32 // of zerolog.Level: lines below it are not written
	format   string
	path     string // of the master's log file; "": none
	json     bool
	out, err *sink // may be the same

	mu      sync.Mutex
	apps    map[string]*appLog
	files   map[string]*sink    // of the apps, by path
	turns   map[string]rotation // of those
	closing sync.WaitGroup      // sinks of files that no app has any more, while they are being closed
}

// Open opens the destinations that c, which must have its defaults, names. A nil stdout or stderr stands for the process's own.
// The caller closes the result. With must, the error is that of a log file that cannot be opened. A master that may take over
// running workers passes must false, so that the log does not keep it from that: there is no error then, the reason goes to
// stderr, and lines are lost until the file can be opened.
func Open(c config.Log, stdout, stderr io.Writer, must bool) (*Logs, error) {
	if stdout == nil {
		stdout = os.Stdout
	}
	if stderr == nil {
		stderr = os.Stderr
	}
	l := &Logs{
		format: c.Format, path: c.File, json: WritesJSON(c, stderr),
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
		l.err = l.newFileSink(f, nil)
		l.out = l.err
	} else {
		l.err = newSink(stream(stderr), nil, l.lostNotice)
		l.out = l.err
		if !sameFile(stdout, stderr) { // two sinks that write into one pipe would tear each other's lines
			l.out = newSink(stream(stdout), nil, l.lostNotice)
		}
	}
	var w io.Writer = l.err
	if !l.json {
		w = zerolog.ConsoleWriter{Out: l.err, TimeFormat: "15:04:05.000", NoColor: !isTerminal(stderr) || c.File != ""}
	}
	l.SetLevel(c.Level)
	l.Logger = zerolog.New(&book.MasterWriter{Shelf: l.Book.Shelf(""), Next: w}).Hook(l)
	return l, nil
}

// WritesJSON reports whether a master of this config writes its lines to w as JSON. A process that writes there beside the
// master uses the same format.
func WritesJSON(c config.Log, w io.Writer) bool {
	return c.Format == "json" || c.Format != "text" && !isTerminal(w)
}

// SetLevel sets the level, such as "warn", below which the master's lines are not written. It takes effect at once. A word that
// is not a level stands for info.
func (l *Logs) SetLevel(word string) {
	level, err := zerolog.ParseLevel(word)
	if err != nil || word == "" {
		level = zerolog.InfoLevel
	}
	l.level.Store(int32(level))
}

// Run is the hook of the embedded Logger: it discards lines below the level and dates the others to the millisecond. (The
// logger's own level cannot change while it is in use, and the format of its own timestamp is global to the process.)
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

// Reopen opens all log files anew, as SIGUSR1 asks for after logrotate has moved them away, and returns how many there are. The
// error joins those of all files that could not be opened; each of these stays in use as it was. It waits for writes in
// progress, so the loop does not call it.
func (l *Logs) Reopen() (files int, err error) {
	l.mu.Lock()
	sinks := slices.Collect(maps.Values(l.files))
	l.mu.Unlock()
	if l.err.reopen != nil && !slices.Contains(sinks, l.err) {
		sinks = append(sinks, l.err)
	}
	var failed []error
	for _, s := range sinks {
		failed = append(failed, s.Reopen())
	}
	return len(sinks), errors.Join(failed...)
}

// Settle waits, for at most d, until all lines that were logged to stderr or the master's file are written.
func (l *Logs) Settle(d time.Duration) { l.err.Settle(d) }

// Close writes the lines that are pending, for at most 2 s for each destination, and ends the readers of the book. Nothing may
// be logged any more.
func (l *Logs) Close() {
	l.Book.Close()
	l.mu.Lock()
	for _, s := range l.files {
		if s != l.err {
			l.closing.Go(func() { _ = s.Close(flushTimeout) })
		}
	}
	l.mu.Unlock()
	l.closing.Wait()
	l.err.Close(flushTimeout)
	if l.out != l.err {
		l.out.Close(flushTimeout)
	}
}

// line returns a line in the log's format, for a place to which the logger does not write.
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

// Panicked begins the line that tells of a panic p in the user's code. It is called from the function that recovered, so that
// the stack is that of the panic; the caller ends the line with Msg.
func (l *Logs) Panicked(p any) *zerolog.Event {
	return l.Error().Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack()))
}

// maxQuoted is how long a piece of a line may be in quotes, where one byte can become six.
const maxQuoted = 512 << 10

// dropsAfter is how long the output of an app whose on_full is drop waits for a destination before that counts as behind.
const dropsAfter = 20 * time.Millisecond

var (
	newline     = []byte("\n")
	openObject  = []byte(`{"level":"info","time":"`)
	closeObject = []byte("}\n")

	// Ends of a piece of a line that goes on in the next line of the same worker and stream: all pieces but the last.
	closePartial = []byte(`,"partial":true}` + "\n")
	textPartial  = []byte(" [partial]\n")
)

// sameFile reports whether a and b are the same file.
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

// FreshLines ends a line that a killed master has left unfinished in a file that is our stdout or stderr, so that our next line
// does not continue it. A log file does that by itself.
func (l *Logs) FreshLines() {
	for _, s := range []*sink{l.out, l.err} {
		if f, ok := s.dest.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && endsCut(f.Name(), info.Size()) {
				s.Write(newline)
			}
		}
		if l.out == l.err {
			return
		}
	}
}

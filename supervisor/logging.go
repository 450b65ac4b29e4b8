package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// flushTimeout bounds the wait for the last log lines when Run ends.
const flushTimeout = 2 * time.Second

// logs is where everything that a person reads goes: the master's own lines to
// stderr, each worker's stdout and stderr to the stream of the same name, or all
// of it to one file. Safe for concurrent use.
type logs struct {
	zerolog.Logger
	level    atomic.Int32 // of zerolog.Level: the least that is written
	json     bool
	out, err *sink
}

// newLogs opens the destinations that c names. A nil stdout or stderr stands for
// the process's own.
func newLogs(c Log, stdout, stderr io.Writer) (*logs, error) {
	if stdout == nil {
		stdout = os.Stdout
	}
	if stderr == nil {
		stderr = os.Stderr
	}
	l := &logs{json: c.Format == "json" || c.Format != "text" && !isTerminal(stderr)}
	if c.File != "" {
		open := func() (io.Writer, error) { return openLogFile(c.File) }
		f, err := open()
		if err != nil {
			return nil, err
		}
		l.json = c.Format != "text"
		l.err = newSink(f, open, l.lostNotice)
		l.out = l.err
	} else {
		l.err = newSink(stderr, nil, l.lostNotice)
		l.out = newSink(stdout, nil, l.lostNotice)
	}
	var w io.Writer = l.err
	if !l.json {
		w = zerolog.ConsoleWriter{Out: l.err, TimeFormat: "15:04:05.000", NoColor: !isTerminal(stderr) || c.File != ""}
	}
	l.setLevel(c.Level)
	l.Logger = zerolog.New(w).Hook(l)
	return l, nil
}

// setLevel takes effect at once and everywhere; a word that is no level is info.
func (l *logs) setLevel(word string) {
	level, err := zerolog.ParseLevel(word)
	if err != nil || word == "" {
		level = zerolog.InfoLevel
	}
	l.level.Store(int32(level))
}

// Run discards what is below the level and dates the rest to the millisecond. (The
// logger's own level cannot change while others use it, and its own timestamp's
// format belongs to the whole process.)
func (l *logs) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if int32(level) < l.level.Load() {
		e.Discard()
		return
	}
	e.Str(zerolog.TimestampFieldName, time.Now().Format(logTime))
}

const logTime = "2006-01-02T15:04:05.000Z07:00"

func openLogFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log file: %w", err)
	}
	return f, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != "null"
}

// Reopen opens a log file anew (SIGUSR1, after it was moved away).
func (l *logs) Reopen() error { return l.err.Reopen() }

// Close writes what is pending, bounded by flushTimeout.
func (l *logs) Close() {
	l.err.Close(flushTimeout)
	if l.out != l.err {
		l.out.Close(flushTimeout)
	}
}

func (l *logs) lostNotice(n int, why error) []byte {
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

// panicked begins the line that tells of a panic in the user's code, from within the
// function that recovered.
func (l *logs) panicked(p any) *zerolog.Event {
	return l.Error().Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack()))
}

// ms is a duration as log lines have it: milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// outputPrefix is what stands before each line of one worker's stream. It changes
// when a standby is given its slot.
type outputPrefix struct {
	text []byte // "web/2[4711] ", or "web/standby[4711] "
	json []byte // the middle of a JSON object, between the time and the message
}

func newOutputPrefix(app string, slot int, worker uint64, pid int, stream string) *outputPrefix {
	place := "standby"
	if slot >= 0 {
		place = strconv.Itoa(slot)
	}
	return &outputPrefix{
		text: fmt.Appendf(nil, "%s/%s[%d] ", app, place, pid),
		json: fmt.Appendf(nil, `","app":%q,"slot":%d,"worker":%d,"pid":%d,"stream":%q,"message":`, app, slot, worker, pid, stream),
	}
}

// output is one worker stream's way into the log. A line that is a JSON object
// passes byte for byte, so that whoever parses the workers' own logs still can;
// any other is given the worker's name, in the format that the log is in.
func (l *logs) output(dest *sink, prefix *atomic.Pointer[outputPrefix]) func(line []byte, more bool) {
	continued := false
	var head []byte
	return func(line []byte, more bool) {
		whole := !continued && !more
		continued = more
		switch {
		case !l.json:
			dest.Line(prefix.Load().text, line, newline)
		case whole && isJSONObject(line):
			dest.Line(line, newline)
		default:
			head = time.Now().AppendFormat(append(head[:0], openObject...), logTime)
			dest.Line(head, prefix.Load().json, appendJSONString(nil, line), closeObject)
		}
	}
}

var (
	newline     = []byte("\n")
	openObject  = []byte(`{"level":"info","time":"`)
	closeObject = []byte("}\n")
)

// isJSONObject looks at the ends before it reads all: most lines are none.
func isJSONObject(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) >= 2 && line[0] == '{' && line[len(line)-1] == '}' && utf8.Valid(line) && json.Valid(line)
}

// appendJSONString quotes what a program printed, which need not be text: bytes
// that are no UTF-8 become U+FFFD, as encoding/json does it.
func appendJSONString(dst, s []byte) []byte {
	text := strings.ToValidUTF8(string(s), "\uFFFD")
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0')
			dst = append(dst, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}

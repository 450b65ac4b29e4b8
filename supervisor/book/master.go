package book

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
)

// MasterWriter is a [zerolog.LevelWriter] that keeps the master's own lines on a shelf and passes them on to Next. It is as safe
// for concurrent use as Next is.
type MasterWriter struct {
	Shelf *Shelf
	Next  io.Writer
}

// Write is WriteLevel for a line without a level.
func (w *MasterWriter) Write(line []byte) (int, error) { return w.WriteLevel(NoLevel, line) }

// WriteLevel takes one line as zerolog makes it, a JSON object. The result is that of Next.
func (w *MasterWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	from, text := masterLine(line)
	w.Shelf.Add(from, time.Now(), level, text, false)
	return w.Next.Write(line)
}

// masterLine returns the app or worker that a line of the master is about, and its text: the message, and the fields that the
// origin does not have as key=value, in their order. A line that is not a JSON object is its own text.
func masterLine(line []byte) (*Origin, []byte) {
	from := &Origin{Slot: -1, Stream: api.StreamMaster}
	decoder := json.NewDecoder(bytes.NewReader(line))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return from, bytes.TrimSpace(line)
	}
	var message, fields []byte
	for decoder.More() {
		key, err := decoder.Token()
		var value json.RawMessage
		if err == nil {
			err = decoder.Decode(&value)
		}
		if err != nil {
			return from, bytes.TrimSpace(line)
		}
		var word string
		isWord := json.Unmarshal(value, &word) == nil
		switch key {
		case zerolog.LevelFieldName, zerolog.TimestampFieldName, "master":
		case zerolog.MessageFieldName:
			message = []byte(word)
		case "app":
			from.App = word
		case "slot":
			if slot, err := strconv.Atoi(string(value)); err == nil {
				from.Slot = slot
			}
		case "worker":
			from.Worker, _ = strconv.ParseUint(string(value), 10, 64)
		case "pid":
			from.PID, _ = strconv.Atoi(string(value))
		case "dump": // kilobytes on one line; the log has them, and mostly a file that is named here
			fields = fmt.Appendf(fields, " dump=(%d bytes, in the log)", len(word))
		default:
			fields = append(append(append(fields, ' '), key.(string)...), '=')
			if isWord && word != "" && !bytes.ContainsAny(value, " \\=") {
				fields = append(fields, word...)
			} else {
				fields = append(fields, value...)
			}
		}
	}
	return from, append(message, fields...)
}

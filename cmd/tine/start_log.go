package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tinehq/tine/cmd/tine/internal/term"
)

const (
	tailLines = 20
	tailBytes = 64 << 10
)

// logTail returns the last lines of a log file behind from, as plain text.
func logTail(path string, from int64) (lines []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	from = max(from, info.Size()-tailBytes)
	if from > info.Size() { // the file was rotated
		from = 0
	}
	data := make([]byte, min(info.Size()-from, tailBytes))
	n, _ := f.ReadAt(data, from) // a part of it is better than nothing
	for line := range strings.SplitSeq(strings.TrimRight(string(data[:n]), "\n"), "\n") {
		if line != "" {
			lines = append(lines, plainLine(line))
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}

// notForPeople are fields of a log line that plainLine leaves out.
var notForPeople = []string{"message", "level", "time", "app", "slot", "stream", "master", "worker", "generation",
	"state", "took_ms", "last_words", "at_once", "policy", "steering"}

// plainLine turns a line of the log, a JSON object, into plain text.
func plainLine(line string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	writer := "tine"
	if app, ok := fields["app"].(string); ok {
		writer = app
		if slot, ok := fields["slot"].(float64); ok {
			n := int(slot)
			writer = term.Where(app, &n)
		}
	}
	text := fmt.Sprint(fields["message"])
	if _, output := fields["stream"]; output {
		return fmt.Sprintf("%-8s | %s", writer, text)
	}
	for _, key := range notForPeople {
		delete(fields, key)
	}
	var rest []string
	for key, v := range fields {
		rest = append(rest, fmt.Sprintf("%s %v", strings.ReplaceAll(key, "_", " "), v))
	}
	slices.Sort(rest)
	if len(rest) > 0 {
		text += ": " + strings.Join(rest, ", ")
	}
	return fmt.Sprintf("%-8s   %s", writer, text)
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	tailLines = 20
	tailBytes = 64 << 10
)

// logTail is the last of what a log file got after from, as people read it.
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
	if from > info.Size() { // rotated meanwhile
		from = 0
	}
	data := make([]byte, min(info.Size()-from, tailBytes))
	n, _ := f.ReadAt(data, from) // what can be read will do
	for line := range strings.SplitSeq(strings.TrimRight(string(data[:n]), "\n"), "\n") {
		if line != "" {
			lines = append(lines, plainLine(line))
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}

// plainLine makes a line of text of one that is a JSON object.
func plainLine(line string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	text := fmt.Sprint(fields["message"])
	level := fmt.Sprint(fields["level"])
	for _, key := range []string{"message", "level", "time"} {
		delete(fields, key)
	}
	var rest []string
	for key, v := range fields {
		rest = append(rest, fmt.Sprintf("%s=%v", key, v))
	}
	slices.Sort(rest)
	if len(rest) > 0 {
		text += " (" + strings.Join(rest, " ") + ")"
	}
	if level != "info" && level != "<nil>" {
		text = level + ": " + text
	}
	return text
}

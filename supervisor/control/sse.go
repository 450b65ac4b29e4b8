package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/tinehq/tine/supervisor/control/api"
)

// Events are sent as the HTML standard's server-sent events have them (section 9.2):
//
//	id: 7
//	data: {"id":7,...}
//
// and a comment now and then, so that a proxy between can tell a quiet stream from a
// dead one.

var keepAlive = []byte(": still here\n\n")

// maxEvent bounds one event in bytes.
const maxEvent = 4 << 20

func appendEvent(dst []byte, e api.Event) ([]byte, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return dst, fmt.Errorf("cannot encode event %d: %w", e.ID, err)
	}
	dst = append(dst, "id: "...)
	dst = strconv.AppendUint(dst, e.ID, 10)
	dst = append(dst, "\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...), nil
}

// readEvents reads a stream to its end.
func readEvents(r io.Reader, yield func(api.Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
			continue
		}
		if len(line) > 0 || len(data) == 0 {
			continue
		}
		var e api.Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("cannot read an event: %w", err)
		}
		data = data[:0]
		if err := yield(e); err != nil {
			return err
		}
	}
	return lines.Err()
}

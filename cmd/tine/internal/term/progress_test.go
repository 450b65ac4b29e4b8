package term

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinehq/tine/supervisor/control/api"
)

// display returns what a terminal shows of text that was written to it: of its sequences it
// knows those that progress uses.
func display(written string) []string {
	lines := []string{""}
	at := 0
	for len(written) > 0 {
		switch {
		case strings.HasPrefix(written, "\x1b[J"):
			lines = append(lines[:at], "")
			written = written[3:]
		case strings.HasPrefix(written, "\x1b["):
			end := strings.IndexByte(written, 'A')
			n := 0
			for _, c := range written[2:end] {
				n = n*10 + int(c-'0')
			}
			at -= n
			written = written[end+1:]
		case written[0] == '\r':
			written = written[1:]
		case written[0] == '\n':
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
			written = written[1:]
		default:
			lines[at] += written[:1]
			written = written[1:]
		}
	}
	return lines[:at]
}

func steps() []api.Progress {
	zero, one := 0, 1
	at := time.Now()
	return []api.Progress{
		{Time: at, App: "web", State: "rolling", Message: "begins", Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 3, State: "spawned", Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 3, State: "ready", PID: 7, Done: 1, Total: 2},
		{Time: at, App: "web", Slot: &one, Worker: 1, Message: "worker 1 exited", Done: 1, Total: 2},
		{Time: at, App: "web", Slot: &zero, Worker: 4, Message: "bad \x1b[2J line " + strings.Repeat("x", 100), Done: 1, Total: 2},
	}
}

func TestProgressInPlace(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(Screen{Writer: &out, Terminal: true, Width: 60, Height: 24}, "reload", false)
	for _, s := range steps() {
		p.Step(s)
	}
	got := display(out.String())
	want := []string{"web        reload 1/2; begins", "web/0      bad ^[[2J line ", "web/1      ready, pid 7; worker 1 exited"}
	if len(got) != len(want) {
		t.Fatalf("the terminal shows %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) || utf8.RuneCountInString(got[i]) > 60 {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestProgressOnASmallScreen(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(Screen{Writer: &out, Terminal: true, Width: 60, Height: 3}, "reload", false)
	for _, s := range steps() {
		p.Step(s)
	}
	if got := display(out.String()); len(got) != 1 || !strings.HasPrefix(got[0], "web        reload 1/2") {
		t.Errorf("the terminal shows %q", got)
	}
}

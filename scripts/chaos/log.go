package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/tinehq/tine/scripts/internal/numbered"
)

// log reads what the master and its workers write.
type log struct {
	journal *journal
	lines   numbered.Lines
	ended   chan struct{}

	mu      sync.Mutex
	kinds   map[string]int
	strange []error
	trace   int // lines of a crash that are still to be kept
}

func newLog(j *journal) *log {
	return &log{journal: j, ended: make(chan struct{}), kinds: map[string]int{}}
}

// entry is a line of the master's log.
type entry struct {
	Level   string  `json:"level"`
	Message string  `json:"message"`
	Stream  string  `json:"stream"` // of a worker's output
	Slot    *int    `json:"slot"`
	Worker  uint64  `json:"worker"`
	PID     int     `json:"pid"`
	State   string  `json:"state"`
	Reason  string  `json:"reason"`
	Error   string  `json:"error"`
	Slots   int     `json:"slots"`
	Took    float64 `json:"took_ms"`
}

// bugs are the first words of lines that no action here explains.
var bugs = []string{
	"impossible", "abandoned", "killing", "drain timeout", "ready timeout", "finished", "gave up", "requests cut off",
	"slot closed with connections waiting", "worker broke the channel's rules", "worker closed its channel and runs on",
	"cannot ", "log lines lost", "message to worker dropped", "a worker's output or channel is still open",
}

// harmless are lines that begin like one of bugs but are expected: a worker drains and ends while its master is replaced.
var harmless = map[string]bool{"cannot tell worker to drain; sending SIGTERM": true}

// asked are the reasons for a drain that actions here explain.
var asked = map[string]bool{
	"SIGUSR2": true, "SIGTERM": true, "config": true, "scaled down": true, "stop": true, "it drains already": true,
	"left while no master heard it": true, // a SIGTERM of a worker in a crash of the master
}

// crashes are parts of lines that begin a Go program's last words.
var crashes = []string{"WARNING: DATA RACE", "panic: ", "fatal error: "}

func (l *log) read(r io.ReadCloser) {
	defer close(l.ended)
	defer r.Close()
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		if text = strings.TrimSpace(text); text != "" {
			l.line(text)
		}
		if err != nil {
			return
		}
	}
}

func (l *log) line(text string) {
	l.lines.Find(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range crashes {
		if strings.Contains(text, c) {
			l.trace = 40
		}
	}
	if l.trace > 0 {
		l.trace--
		l.strange = append(l.strange, fmt.Errorf("crash: %s", text))
	}
	var e entry
	if json.Unmarshal([]byte(text), &e) != nil {
		// A master that was killed may have torn a line; the next one's follows without a new line.
		i := strings.LastIndex(text, `{"level"`)
		if i < 0 || json.Unmarshal([]byte(text[i:]), &e) != nil {
			l.kinds[firstWord(text)]++
			l.journal.said(text)
			return
		}
	}
	if e.Stream != "" {
		return // a line that a worker printed
	}
	l.kinds[e.Message]++
	said := e.String()
	l.journal.said(said)
	if e.Message == "draining" && !asked[e.Reason] {
		l.strange = append(l.strange, fmt.Errorf("a worker is replaced without an action that asked for it, at %s: %s", strings.TrimSpace(l.journal.stamp(time.Now())), said))
	}
	for _, b := range bugs {
		if strings.HasPrefix(e.Message, b) && !harmless[e.Message] {
			l.strange = append(l.strange, fmt.Errorf("the log says, at %s: %s", strings.TrimSpace(l.journal.stamp(time.Now())), said))
		}
	}
}

// firstWord returns the word by which lines are counted that the master did not write: "keeper" of "keeper: master 17 is ready".
func firstWord(text string) string {
	word, _, _ := strings.Cut(text, ":")
	return word
}

func (e entry) String() string {
	var b strings.Builder
	b.WriteString(e.Message)
	add := func(name string, v any, there bool) {
		if there {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	if e.Slot != nil {
		add("slot", *e.Slot, true)
	}
	add("worker", e.Worker, e.Worker != 0)
	add("pid", e.PID, e.PID != 0)
	add("state", e.State, e.State != "")
	add("reason", e.Reason, e.Reason != "")
	add("error", e.Error, e.Error != "")
	add("slots", e.Slots, e.Slots != 0)
	add("took", fmt.Sprintf("%.0fms", e.Took), e.Took != 0)
	return strings.Map(func(r rune) rune { // a broken config is quoted in the log with what makes it broken
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, b.String())
}

func (l *log) kindsSeen() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.kinds)
}

// complaints returns the lines that tell of a bug. It is valid only after the log has ended.
func (l *log) complaints() []error {
	select {
	case <-l.ended:
	case <-time.After(stopLimit):
		return []error{fmt.Errorf("the log is still open %v after the master's end", stopLimit)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strange
}

package claim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// State is what a holder says of itself.
type State string

const (
	Starting State = "starting" // no master was ready yet
	Serving  State = "serving"  // a master is ready
	Waiting  State = "waiting"  // no master lives; the keeper starts another
	Stopping State = "stopping" // it was told to end, and does not come back
)

// About is what a holder says. A text is empty, and a number 0, where the holder does not know it.
type About struct {
	Name    string // of the master
	PID     int    // that a person knows as tine: the keeper's, else the master's
	Master  int    // PID of the master; 0: none lives
	State   State
	Control string // address of the control socket now: a path, or @NAME; empty: there is none
	Place   string // path where it is to be, and is as long as its folder is there
	Config  string // absolute path of the config file; empty: the master was started by flags
	Env     string // the environment of the config file that was chosen

	// As long as no master is ready because masters, or their starts, fail: see package keeper.
	Failures int           // in a row
	Why      string        // the last of them, in a few words
	Next     time.Duration // until the next start, where one is waited for
}

const maxAnswer = 16 << 10 // bytes

// Text is the part of the answer that does not change: all but PID, Master and State.
func (a About) Text() string {
	var b strings.Builder
	for _, kv := range [][2]string{{"name", a.Name}, {"control", a.Control}, {"place", a.Place}, {"config", a.Config}, {"env", a.Env}} {
		if kv[1] != "" && !strings.ContainsAny(kv[1], "\n\x00") {
			fmt.Fprintf(&b, "%s=%s\n", kv[0], kv[1])
		}
	}
	return b.String()
}

// text is the whole answer.
func (a About) text() string {
	return fmt.Sprintf("%spid=%d\nmaster=%d\nstate=%s\n", a.Text(), a.PID, a.Master, a.State)
}

// parse reads an answer. What it does not know it passes over, and of one key the last line holds.
func parse(text string) (a About) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			a.Name = value
		case "pid":
			a.PID, _ = strconv.Atoi(value)
		case "master":
			a.Master, _ = strconv.Atoi(value)
		case "state":
			a.State = State(value)
		case "control":
			a.Control = value
		case "place":
			a.Place = value
		case "config":
			a.Config = value
		case "env":
			a.Env = value
		case "failures":
			a.Failures, _ = strconv.Atoi(value)
		case "why":
			a.Why = value
		case "next_ms":
			ms, _ := strconv.ParseInt(value, 10, 32)
			a.Next = time.Duration(max(ms, 0)) * time.Millisecond
		}
	}
	return a
}

// SameConfig reports whether the holder runs the config file at path, an absolute one: the path is the same, or the file is.
func (a About) SameConfig(path string) bool {
	if a.Config == "" || path == "" {
		return false
	}
	if filepath.Clean(a.Config) == filepath.Clean(path) {
		return true
	}
	theirs, err := os.Stat(a.Config)
	if err != nil {
		return false
	}
	ours, err := os.Stat(path)
	return err == nil && os.SameFile(theirs, ours)
}

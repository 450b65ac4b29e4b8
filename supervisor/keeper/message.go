package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxMessage is the longest notification in bytes, as for systemd (its NOTIFY_BUFFER_MAX).
const maxMessage = 4096

// maxName is the longest name of a stored file in bytes, as for systemd.
const maxName = 255

// defaultName is the name of a file that is stored without one, as for systemd.
const defaultName = "stored"

// Questions to the keeper: each comes with a memfd for the answer. Fields that begin with X- are free for extensions:
// sd_notify(3).
const (
	exitsField = "X-TINE-EXITS"  // which exits are remembered: see exits.appendTo
	roomField  = "X-TINE-ROOM"   // what is stored, and what was refused: see Room.appendTo
	chiefField = "X-TINE-MASTER" // which process is the master in charge: its PID, 0 if none lives
)

// commandField says, beside MAINPID, from which program the keeper is to bring that process back: its absolute path.
const commandField = "X-TINE-COMMAND"

// controlField says where the master in charge can be asked: the address of its control socket, a path or @NAME. Empty: it
// cannot. It is part of what the keeper answers on the claim.
const controlField = "X-TINE-CONTROL"

// maxCommand is the longest path of a program in bytes. There has to be room beside it in a notification.
const maxCommand = maxMessage - 256

// message is one notification. The zero value says nothing.
type message struct {
	ready, reloading, stopping bool
	monotonic                  string // of a reload: digits, or empty
	status                     string // empty: none
	mainPID                    int    // 0: none
	command                    string // of mainPID: an absolute path, or empty
	feed, trigger              bool   // of the watchdog
	watchdog                   time.Duration
	store, remove              bool
	name                       string // of the files, valid or empty
	barrier, exits, chief      bool
	room                       bool
	control                    *string // an address, or empty: there is none; nil: not said
}

// parse reads a notification: lines KEY=VALUE, in the words of sd_notify(3). What it does not know it passes over. A
// value that makes no sense leaves its field as if it had not been there, and is told in the error: the rest holds.
func parse(text []byte) (m message, err error) {
	if len(text) > maxMessage {
		return message{}, fmt.Errorf("cannot read a notification of %d bytes: %d at most", len(text), maxMessage)
	}
	var bad []error
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		key, value, ok := strings.Cut(string(line), "=")
		if !ok {
			continue
		}
		if err := m.set(key, value); err != nil {
			bad = append(bad, fmt.Errorf("cannot read %s: %w", printable(string(line)), err))
		}
	}
	return m, errors.Join(bad...)
}

func (m *message) set(key, value string) error {
	switch key {
	case "READY":
		m.ready = m.ready || value == "1"
	case "RELOADING":
		m.reloading = m.reloading || value == "1"
	case "STOPPING":
		m.stopping = m.stopping || value == "1"
	case "STATUS":
		m.status = printable(value)
	case "MONOTONIC_USEC":
		if _, err := strconv.ParseUint(value, 10, 64); err != nil {
			return errors.New("microseconds are needed")
		}
		m.monotonic = value
	case "MAINPID":
		pid, err := strconv.ParseInt(value, 10, 32)
		if err != nil || pid < 1 {
			return errors.New("a process id is needed")
		}
		m.mainPID = int(pid)
	case "WATCHDOG":
		m.feed = m.feed || value == "1"
		m.trigger = m.trigger || value == "trigger"
	case "WATCHDOG_USEC":
		usec, err := strconv.ParseInt(value, 10, 64)
		if err != nil || usec <= 0 || usec > maxWatchdog.Microseconds() {
			return fmt.Errorf("microseconds from 1 to %d are needed", maxWatchdog.Microseconds())
		}
		m.watchdog = time.Duration(usec) * time.Microsecond
	case "FDSTORE":
		m.store = m.store || value == "1"
	case "FDSTOREREMOVE":
		m.remove = m.remove || value == "1"
	case "FDNAME":
		if err := checkName(value); err != nil {
			return err
		}
		m.name = value
	case "BARRIER":
		m.barrier = m.barrier || value == "1"
	case exitsField:
		m.exits = m.exits || value == "1"
	case roomField:
		m.room = m.room || value == "1"
	case chiefField:
		m.chief = m.chief || value == "1"
	case commandField:
		if err := checkCommand(value); err != nil {
			return err
		}
		m.command = value
	case controlField:
		if len(value) > maxControl || printable(value) != value {
			return fmt.Errorf("an address of up to %d bytes without control characters is needed", maxControl)
		}
		m.control = &value
	}
	return nil
}

// maxControl is more than an address of a Unix socket can have, in bytes.
const maxControl = 256

// maxWatchdog is the longest time between two signs of life: what is longer guards nothing.
const maxWatchdog = 24 * time.Hour

// checkName reports whether systemd and LISTEN_FDNAMES can carry the name.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a name of 1 to %d bytes is needed, not %d", maxName, len(name))
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] >= 127 || name[i] == ':' {
			return fmt.Errorf("the byte %q cannot stand in the name of a file", name[i])
		}
	}
	return nil
}

// checkCommand reports whether the path can be that of a master's program. Whether there is one shows when it is started.
func checkCommand(path string) error {
	switch {
	case len(path) > maxCommand:
		return fmt.Errorf("a path of up to %d bytes is needed, not %d", maxCommand, len(path))
	case !strings.HasPrefix(path, "/"):
		return errors.New("an absolute path is needed")
	case printable(path) != path:
		return errors.New("a path in UTF-8 without control characters is needed")
	}
	return nil
}

// printable makes one harmless line of what another process has said.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 127 && r < 160 {
			return '?'
		}
		return r
	}, text)
}

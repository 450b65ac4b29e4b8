package journal

import (
	"strconv"
	"strings"
	"syscall"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// EventOf is a record of a pool as the event that readers follow. words are the last words of the worker that the record is
// about; "": it had none.
func EventOf(r pool.Record, words string) api.Event {
	e := api.Event{
		Kind: r.Kind.String(), Worker: uint64(r.ID), PID: r.PID, Generation: r.Generation,
		TookMS: api.Milliseconds(r.Took), DelayMS: api.Milliseconds(r.Delay), Failures: r.Failures,
	}
	if r.Slot >= 0 {
		e.Slot = &r.Slot
	}
	if r.Kind != pool.KindExited { // there it says what code and signal do
		e.Reason = r.Reason
	}
	switch r.Kind {
	case pool.KindExited:
		e.Code = r.Code
		if r.Signal != 0 {
			e.Signal = unix.SignalName(syscall.Signal(r.Signal))
		}
		e.LastWords = words
	case pool.KindScaled:
		e.Reason = strconv.Itoa(r.Slots) + " workers"
	}
	e.Message = eventText(e)
	return e
}

// eventText is an event in words.
func eventText(e api.Event) string {
	var b strings.Builder
	if e.Worker != 0 {
		b.WriteString("worker " + strconv.FormatUint(e.Worker, 10) + " ")
	} else if e.Slot != nil {
		b.WriteString("slot " + strconv.Itoa(*e.Slot) + " ")
	}
	b.WriteString(e.Kind)
	switch {
	case e.Signal != "":
		b.WriteString(" by " + e.Signal)
	case e.Kind == pool.KindExited.String():
		b.WriteString(" with code " + strconv.Itoa(e.Code))
	case e.Reason != "":
		b.WriteString(": " + e.Reason)
	}
	if e.LastWords != "" {
		b.WriteString(": " + e.LastWords)
	}
	return b.String()
}

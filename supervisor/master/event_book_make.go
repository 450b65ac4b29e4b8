package master

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// event enters e in the book of those that follow. It is called by the loop alone.
func (l *loop) event(a *app, level zerolog.Level, e control.Event) {
	e.Time, e.Level = time.Now().Round(time.Millisecond), level.String()
	if a != nil {
		e.App = a.name
	}
	e.ID = l.s.book.Add(e)
}

// eventOf is what a core's record is to those who follow.
func eventOf(a *app, r pool.Record) control.Event {
	e := control.Event{
		Kind: r.Kind.String(), Worker: uint64(r.ID), PID: r.PID, Generation: r.Generation,
		TookMS: ms(r.Took), DelayMS: ms(r.Delay), Failures: r.Failures,
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
		if r.Unasked() && a.lastExit.id == r.ID {
			e.LastWords = a.lastExit.words
		}
	case pool.KindScaled:
		e.Reason = strconv.Itoa(r.Slots) + " workers"
	}
	e.Message = eventText(e)
	return e
}

// eventText is an event in words.
func eventText(e control.Event) string {
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

// valueEvent tells of one cached value.
func (l *loop) valueEvent(level zerolog.Level, kind, key, reason string) {
	text := key
	if reason != "" {
		text += ": " + reason
	}
	l.event(nil, level, control.Event{Kind: kind, Reason: reason, Message: text})
}

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config/file"
)

// Words that flags and config files share.
const (
	auto = "auto"
	off  = "off"
)

// flagValue is a flag whose text a function reads.
type flagValue[T any] struct {
	to    *T
	kind  string // in the help
	parse func(string) (T, error)
	text  func(T) string // what parse would read
}

func (f flagValue[T]) Set(text string) error {
	v, err := f.parse(text)
	if err == nil {
		*f.to = v
	}
	return err
}

func (f flagValue[T]) String() string { return f.text(*f.to) }
func (f flagValue[T]) Type() string   { return f.kind }

// whole is a flag for a whole number.
func whole(to *int) pflag.Value { return flagValue[int]{to, "int", term.WholeNumber, strconv.Itoa} }

// span is a flag for a duration.
func span(to *time.Duration) pflag.Value {
	return flagValue[time.Duration]{to, "duration", func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			err = fmt.Errorf("%q is not a duration: write 30s, 1m30s or 500ms", text)
		}
		return d, err
	}, time.Duration.String}
}

// optional is a flag for a duration, or off, which is 0.
func optional(to *time.Duration) pflag.Value {
	return flagValue[time.Duration]{to, "duration", func(text string) (time.Duration, error) {
		if text == off {
			return 0, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			err = fmt.Errorf("%q is not a duration: write off, 30s, 1m30s or 500ms", text)
		}
		return d, err
	}, func(d time.Duration) string {
		if d == 0 {
			return off
		}
		return d.String()
	}}
}

// stopTimeout is a flag for a duration, or auto (0), or off (supervisor.StopTimeoutOff).
func stopTimeout(to *time.Duration) pflag.Value {
	return flagValue[time.Duration]{to, "duration", func(text string) (time.Duration, error) {
		switch text {
		case auto:
			return 0, nil
		case off:
			return supervisor.StopTimeoutOff, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return 0, fmt.Errorf("%q is not a time to stop in: write auto, off, 30s or 1m30s", text)
		}
		return d, nil
	}, func(d time.Duration) string {
		switch {
		case d == 0:
			return auto
		case d < 0:
			return off
		}
		return d.String()
	}}
}

// size is a flag for a number of bytes, or off, which is 0.
func size(to *int64) pflag.Value {
	return flagValue[int64]{to, "size", file.ParseSize, func(n int64) string {
		if n == 0 {
			return off
		}
		return strconv.FormatInt(n, 10)
	}}
}

// lineCount is a flag for a number of lines, or all, which is -1.
func lineCount(to *int) pflag.Value {
	return flagValue[int]{to, "number", func(text string) (int, error) {
		if text == "all" {
			return -1, nil
		}
		n, err := term.WholeNumber(text)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is not a number of lines: write 0, 100 or all", text)
		}
		return n, nil
	}, func(n int) string {
		if n < 0 {
			return "all"
		}
		return strconv.Itoa(n)
	}}
}

// moment is a flag for a point in time: how long ago it was, or a date and time.
func moment(to *time.Time) pflag.Value {
	return flagValue[time.Time]{to, "time", func(text string) (time.Time, error) {
		if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
			return time.Now().Add(-ago), nil
		}
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", time.DateOnly} {
			if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
				return at, nil
			}
		}
		return time.Time{}, fmt.Errorf("%q is not a time: write 10m, 2h, or 2006-01-02T15:04:05Z", text)
	}, func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Format(time.RFC3339)
	}}
}

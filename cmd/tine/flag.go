package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tinehq/tine/supervisor/config/file"
)

// off turns a limit off, in flags and in config files.
const off = "off"

// optional is a flag for a duration, or off, which is 0.
type optional time.Duration

func (o *optional) Set(text string) error {
	if text == off {
		*o = 0
		return nil
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write off, 30s, 1m30s or 500ms", text)
	}
	*o = optional(value)
	return nil
}

func (o *optional) String() string {
	if *o == 0 {
		return off
	}
	return time.Duration(*o).String()
}

func (o *optional) Type() string { return "duration" }

// size is a flag for a number of bytes, or off, which is 0.
type size int64

func (s *size) Set(text string) error {
	value, err := file.ParseSize(text)
	*s = size(value)
	return err
}

func (s *size) String() string {
	if *s == 0 {
		return off
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *size) Type() string { return "size" }

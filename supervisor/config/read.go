package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Files returns a copy of the absolute paths of all files that the config was read from, its own first. Env files are not among
// them.
func (c *Config) Files() []string { return slices.Clone(c.origin.Files) }

// ReadRegular reads a regular file of at most limit bytes. It refuses any other kind of file, as reading a pipe or a device may
// never end. what names the file's purpose in errors: "cannot read the WHAT: ...". They wrap those of package os.
func ReadRegular(path, what string, limit int64) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("cannot read the %s: %w", what, fmt.Errorf(format, args...))
	}
	// Without O_NONBLOCK opening a FIFO would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail("%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail("%w", err)
	}
	if !info.Mode().IsRegular() {
		return fail("%s is not a regular file but a %s", path, kindOfFile(info.Mode()))
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return fail("%w", err)
	}
	if int64(len(text)) > limit {
		return fail("%s has %d bytes, the limit is %d", path, max(info.Size(), limit+1), limit)
	}
	return text, nil
}

func kindOfFile(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	case m&os.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// PlainText returns the text of a file without a byte order mark, which some editors put before it (YAML 1.2, 5.2). The error
// says why it is not UTF-8 text, and line where, from 1; 0: from the first byte.
func PlainText(text []byte) (plain []byte, line int, err error) {
	for _, mark := range utf16Mark {
		if bytes.HasPrefix(text, mark) {
			return nil, 0, errors.New("is UTF-16: save it as UTF-8")
		}
	}
	text = bytes.TrimPrefix(text, utf8Mark)
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, 1 + bytes.Count(text[:i], []byte("\n")), errors.New("has a zero byte, as UTF-16 without a mark has them: save it as UTF-8")
	}
	if utf8.Valid(text) {
		return text, 0, nil
	}
	for i, l := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(l) {
			return nil, i + 1, errors.New("is not UTF-8 here: save it as UTF-8")
		}
	}
	return nil, 0, errors.New("is not UTF-8: save it as UTF-8")
}

// CheckWhole returns what is wrong with how a whole number is written, or nil. Only plain digits with an optional sign are
// valid: octal, hexadecimal and grouped digits mean different numbers in YAML 1.1 and 1.2.
func CheckWhole(text string) error {
	digits := strings.TrimLeft(text, "+-")
	plain := strings.TrimLeft(digits, "0")
	switch {
	case digits == "" || len(text)-len(digits) > 1:
		return fmt.Errorf("%s is not a whole number", Shorten(text))
	case strings.Trim(digits, "0123456789") != "":
		return fmt.Errorf("%s is not a plain number: write it with the digits 0 to 9 alone", text)
	case len(digits) > 1 && digits[0] == '0' && plain == "":
		return fmt.Errorf("%s: write 0", text)
	case len(digits) > 1 && digits[0] == '0':
		if octal, err := strconv.ParseInt(plain, 8, 64); err == nil {
			return fmt.Errorf("%s is %d in YAML 1.1 and %s in YAML 1.2: write which of them is meant", text, octal, plain)
		}
		return fmt.Errorf("%s begins with 0: write %s", text, plain)
	}
	return nil
}

var (
	utf8Mark  = []byte("\xef\xbb\xbf")
	utf16Mark = [][]byte{[]byte("\xff\xfe"), []byte("\xfe\xff")}
)

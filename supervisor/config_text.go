package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	utf8Mark  = []byte("\xef\xbb\xbf")
	utf16Mark = [][]byte{[]byte("\xff\xfe"), []byte("\xfe\xff")}
)

// plainText is what a person wrote into a file, without the byte order mark that some editors begin it with (YAML 1.2,
// 5.2). line is where it is no UTF-8, or no text; 0: from the first byte.
func plainText(text []byte) (plain []byte, line int, err error) {
	for _, mark := range utf16Mark {
		if bytes.HasPrefix(text, mark) {
			return nil, 0, errors.New("is UTF-16: save it as UTF-8")
		}
	}
	text = bytes.TrimPrefix(text, utf8Mark)
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, 1 + bytes.Count(text[:i], newline), errors.New("has a zero byte, as UTF-16 without a mark has them: save it as UTF-8")
	}
	if utf8.Valid(text) {
		return text, 0, nil
	}
	for i, l := range bytes.Split(text, newline) {
		if !utf8.Valid(l) {
			return nil, i + 1, errors.New("is no UTF-8 here: save it as UTF-8")
		}
	}
	return nil, 0, errors.New("is no UTF-8: save it as UTF-8")
}

// checkWhole tells what is wrong with how a whole number is written. Octal, hexadecimal and grouped digits mean one number
// in YAML 1.1, another in 1.2 and a third to who reads them: only plain digits are taken.
func checkWhole(text string) error {
	digits := strings.TrimLeft(text, "+-")
	plain := strings.TrimLeft(digits, "0")
	switch {
	case digits == "" || len(text)-len(digits) > 1:
		return fmt.Errorf("%s is no whole number", shorten(text))
	case strings.Trim(digits, "0123456789") != "":
		return fmt.Errorf("%s is no plain number: write it with the digits 0 to 9 alone", text)
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

// indentedByTab says whether a tab is among the white space that a line, from 1, begins with. YAML has none there.
func indentedByTab(text []byte, line int) bool {
	lines := bytes.Split(text, newline)
	if line < 1 || line > len(lines) {
		return false
	}
	l := lines[line-1]
	return bytes.IndexByte(l[:len(l)-len(bytes.TrimLeft(l, " \t"))], '\t') >= 0
}

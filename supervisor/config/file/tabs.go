package file

import (
	"bytes"
)

// indentedByTab reports whether the white space at the beginning of a line, from 1, has a tab, which YAML does not allow.
func indentedByTab(text []byte, line int) bool {
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	l := lines[line-1]
	return bytes.IndexByte(l[:len(l)-len(bytes.TrimLeft(l, " \t"))], '\t') >= 0
}

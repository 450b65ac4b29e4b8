package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Join appends a key to the path of a section, such as apps.web. A key with a dot, a bracket or a blank is quoted, so that each
// path means one place.
func Join(path, key string) string {
	if strings.ContainsAny(key, ".[ ") || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Index returns the path of the entry i, from 0, of the list at path, such as apps.web.listen[1].
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Shorten quotes text for a message, of a long one the first 57 characters.
func Shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return strconv.Quote(string(r[:57])) + "..."
	}
	return strconv.Quote(text)
}

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Join appends a key to a path. A key with a dot is quoted, so that each path means one place.
func Join(path, key string) string {
	if strings.ContainsAny(key, ".[ ") || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Shorten quotes text for a message.
func Shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return strconv.Quote(string(r[:57])) + "..."
	}
	return strconv.Quote(text)
}

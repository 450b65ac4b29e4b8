package proc

import (
	"slices"
	"strings"
)

// lastValues keeps the last value of each key, in the place of its first: C programs take the first value, Go programs
// the last, so two would make workers disagree. The result has no spare capacity: an append by one caller never writes
// where another reads.
func lastValues(env []string) []string {
	out := make([]string, 0, len(env))
	at := make(map[string]int, len(env))
	for _, kv := range env {
		key, _, ok := strings.Cut(kv, "=")
		if i, seen := at[key]; ok && seen {
			out[i] = kv
			continue
		}
		at[key] = len(out)
		out = append(out, kv)
	}
	return slices.Clip(out)
}

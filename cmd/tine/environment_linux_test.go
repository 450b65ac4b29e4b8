package main

import (
	"strings"
	"testing"
)

// TestNoWarningOfOwnVariables: a person who has set nothing is not warned of what Tine's own processes tell one another.
func TestNoWarningOfOwnVariables(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	if log := m.raw() + m.stderr(); strings.Contains(log, "in the environment") {
		t.Errorf("a warning of a variable:\n%s", log)
	}
}

package main

import (
	"strings"
	"testing"
)

// TestNoWarningOfOwnVariables: the variables between Tine's own processes are not warned of.
func TestNoWarningOfOwnVariables(t *testing.T) {
	t.Parallel()
	m := startReady(t, twoCalm, kept)
	if log := m.raw() + m.stderr(); strings.Contains(log, "in the environment") {
		t.Errorf("a warning of a variable:\n%s", log)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCheck has a package that lacks a function on one system, in the body of a
// function and in a test, and is whole on the other.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"go.mod":     "module example.com/m\n\ngo 1.26\n",
		"m.go":       "package m\n\nimport \"strings\"\n\nfunc Both() string { return strings.TrimSpace(only()) }\n",
		"m_linux.go": "package m\n\nfunc only() string { return \"\" }\n",
		"m_test.go":  "package m\n\nvar _ = only\n",
	})
	if errs, err := check(dir, "linux/arm64", "./..."); err != nil || len(errs) > 0 {
		t.Errorf("linux: %v %v, want no error", errs, err)
	}
	errs, err := check(dir, "darwin/arm64", "./...")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range errs {
		said = append(said, e.Error())
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{"m.go:5:", "m_test.go:3:", "undefined: only"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the errors for darwin:\n%s", want, text)
		}
	}
}

func TestCheckOfNothing(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n"})
	for _, system := range []string{"darwin", "linux/arm64"} {
		if errs, err := check(dir, system, "./..."); err == nil {
			t.Errorf("%s: %v, want an error", system, errs)
		}
	}
}

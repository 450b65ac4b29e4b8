package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, mode os.FileMode) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	put("v1/app", 0o755)
	put("v2/app", 0o755)
	put("v1/plain", 0o644)
	put("bin/tool", 0o755)
	put("sbin/tool", 0o644)
	put("sbin/locked", 0o644)
	link("v1", "current")
	link("current/app", "app")
	link("nosuch", "dangling")
	in := func(path string) string { return filepath.Join(root, path) }
	path := "PATH=" + strings.Join([]string{in("sbin"), "bin", "", in("nosuch"), in("bin")}, ":")

	for _, c := range []struct {
		name            string
		command, dir    string
		env             []string
		path, realDir   string
		err, alsoSaying string
	}{
		{name: "absolute", command: in("v1/app"), dir: root, path: "v1/app", realDir: "."},
		{name: "relative to the folder", command: "./app", dir: in("v2"), path: "v2/app", realDir: "v2"},
		{name: "folder is a link", command: "./app", dir: in("current"), path: "v1/app", realDir: "v1"},
		{name: "path through a link", command: in("app"), dir: root, path: "v1/app", realDir: "."},
		{name: "up through a link", command: "../v2/app", dir: in("current"), path: "v2/app", realDir: "v1"},
		{name: "in PATH, one before it cannot be executed", command: "tool", dir: root, env: []string{path}, path: "bin/tool", realDir: "."},
		{name: "the last PATH counts", command: "tool", dir: root, env: []string{"PATH=/nosuch", path}, path: "bin/tool", realDir: "."},
		{name: "not in PATH", command: "nosuch", dir: root, env: []string{path}, err: "not found in PATH " + path[5:]},
		{name: "only one that cannot be executed", command: "locked", dir: root, env: []string{path}, err: in("sbin/locked") + ": not executable (mode 0644)"},
		{name: "empty", command: "", dir: root, err: "it is empty"},
		{name: "missing", command: "./nosuch", dir: in("v1"), err: in("v1/nosuch") + ": no such file or directory"},
		{name: "dangling link", command: "./dangling", dir: root, err: "no such file or directory"},
		{name: "not executable", command: "./plain", dir: in("v1"), err: in("v1/plain") + ": not executable (mode 0644)"},
		{name: "a folder", command: "./v1", dir: root, err: in("v1") + ": is a folder"},
		{name: "no such folder", command: "./app", dir: in("v3"), err: "working folder " + in("v3") + ": no such file or directory"},
		{name: "folder is a file", command: "./app", dir: in("v1/app"), err: "not a folder"},
		{name: "zero byte", command: "./app\x00", dir: root, err: "zero byte"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Resolve(Spec{Command: []string{c.command, "arg"}, Dir: c.dir, Env: c.env})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "cannot resolve command") {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Path != in(c.path) || got.Dir != filepath.Clean(in(c.realDir)) || !slices.Equal(got.Args, []string{c.command, "arg"}) {
				t.Errorf("got %+v, want path %s in %s", got, c.path, c.realDir)
			}
		})
	}
	if _, err := Resolve(Spec{}); err == nil {
		t.Error("a Spec without a command was resolved")
	}

	// A release that is switched is seen by the next Resolve and not by what was resolved before.
	spec := Spec{Command: []string{"./app"}, Dir: in("current")}
	before, err := Resolve(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(in("current")); err != nil {
		t.Fatal(err)
	}
	link("v2", "current")
	after, err := Resolve(spec)
	if err != nil {
		t.Fatal(err)
	}
	if before.Path != in("v1/app") || after.Path != in("v2/app") || after.Dir != in("v2") {
		t.Errorf("before %s, after %s in %s", before.Path, after.Path, after.Dir)
	}
}

func TestLastValueOfAKeyHolds(t *testing.T) {
	got := lastValues([]string{"A=1", "B=2", "A=3", "odd", "odd"})
	if want := []string{"A=3", "B=2", "odd", "odd"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if cap(got) != len(got) {
		t.Error("there is room behind: two appends would share it")
	}
}

package main

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestBashCompletionAlone: in a bash without the package bash-completion, what is
// asked for is the line up to the cursor, in its words.
func TestBashCompletionAlone(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	var script bytes.Buffer
	root := newRoot()
	root.SetOut(&script)
	root.SetArgs([]string{"completion", "bash"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	// What stands behind | is behind the cursor.
	for _, c := range []struct{ line, words, asked, reply string }{
		{"tine re|", "tine re", "__complete re", ""},
		{"tine reload |", "tine,reload,", "__complete reload ", "web wiki"},
		{"tine reload w|", "tine,reload,w", "__complete reload w", "web wiki"},
		{"tine  reload   wi|", "tine,reload,wi", "__complete reload wi", "wiki"},
		{"tine run --policy=|", "tine,run,--policy,=", "__complete run --policy=", "web wiki"},
		{"tine run --policy=w|", "tine,run,--policy,=,w", "__complete run --policy=w", "web wiki"},
		{"tine logs --since 10:0|", "tine,logs,--since,10,:,0", "__complete logs --since 10:0", ""},
		{"tine reload w|eb", "tine,reload,web", "__complete reload w", "web wiki"},
	} {
		before, after, _ := strings.Cut(c.line, "|")
		words := strings.FieldsFunc(strings.ReplaceAll(c.words, " ", ","), func(r rune) bool { return r == ',' })
		if strings.HasSuffix(c.words, ",") {
			words = append(words, "")
		}
		test := script.String() + `
compopt() { :; }
tine() { printf '%s\n' "$*" >&3; printf 'web\nwiki\n:4\n'; }
COMP_LINE=$1 COMP_POINT=$2 COMP_TYPE=9; shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
{ __start_tine; } 3>&1
printf '%s\n' "${COMPREPLY[*]}"
`
		args := append([]string{"--norc", "--noprofile", "-c", test, "bash", before + after, strconv.Itoa(len(before))}, words...)
		out, err := exec.Command(bash, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.line, err, out)
			continue
		}
		if got, want := string(out), c.asked+"\n"+c.reply+"\n"; got != want {
			t.Errorf("%s: %q instead of %q", c.line, got, want)
		}
	}
}

package ipc

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDocTable holds the table in doc.go to the code: who writes a client has nothing else.
func TestDocTable(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^//\t(\d+)\s+([a-z]+)\s+(both|M>W|W>M)\s+(0|n|0-1)\s+\S`)
	var found int
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		n, _ := strconv.Atoi(m[1])
		found++
		if found != n {
			t.Errorf("row %d of the table has type %d", found, n)
		}
		if got := Type(n).String(); got != m[2] {
			t.Errorf("type %d is %q in doc.go and %q in the code", n, m[2], got)
		}
	}
	if known := len(typeNames) - 1; found != known {
		t.Errorf("doc.go has %d types, the code %d", found, known)
	}
	for _, n := range []int{MaxFrame, InlineMax, MaxPayload, MaxText, MaxKey, MaxFDs, MaxSets, Protocol} {
		if !regexp.MustCompile(`\b` + strconv.Itoa(n) + `\b`).Match(b) {
			t.Errorf("doc.go does not mention the bound %d", n)
		}
	}
	for _, want := range []string{EnvChannel, "SCM_RIGHTS", "F_SEAL_WRITE"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("doc.go does not mention %s", want)
		}
	}
}

// TestDocFields holds the field names of the JSON bodies to those in the table.
func TestDocFields(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`"([a-z_]+)":`)
	for _, f := range append(fixtures(t), Assign{
		Listeners: []Listener{{"tcp", ":7000"}}, Files: []*os.File{os.Stdin}, Board: true, Hot: os.Stdin, Rows: os.Stdin,
	}) {
		wire, err := appendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(wire) == headerLen || wire[headerLen] != '{' {
			continue
		}
		line := regexp.MustCompile(`(?m)^//\t\d+\s+` + f.frameType().String() + `\s.*$`).FindString(string(b))
		for _, m := range key.FindAllStringSubmatch(string(wire[headerLen:]), -1) {
			if !regexp.MustCompile(`\b` + m[1] + `\b`).MatchString(line) {
				t.Errorf("field %s of %s is not in doc.go: %s", m[1], f.frameType(), line)
			}
		}
	}
}

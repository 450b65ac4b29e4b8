package ipc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The frames of a gateway carry one file each, or none, and no more.
func TestInnerAndTicketsCarryAFile(t *testing.T) {
	keepsFDs(t)
	a, b := channel(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("seven"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, sent := range []Frame{Inner{Address: "/x.0.sock", File: f}, Inner{}, Tickets{App: "web", File: f}, Tickets{App: "web"}} {
		if err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
	}
	inner, none := next[Inner](t, b), next[Inner](t, b)
	if inner.Address != "/x.0.sock" || inner.File == nil || none.Address != "" || none.File != nil {
		t.Errorf("got %+v and %+v", inner, none)
	}
	tickets, gone := next[Tickets](t, b), next[Tickets](t, b)
	if tickets.App != "web" || tickets.File == nil || gone.App != "web" || gone.File != nil {
		t.Fatalf("got %+v and %+v", tickets, gone)
	}
	text := make([]byte, 8)
	if n, _ := tickets.File.ReadAt(text, 0); string(text[:n]) != "seven" {
		t.Errorf("the file has %q", text[:n])
	}
	Discard(inner)
	Discard(tickets)
	for _, wrong := range []Frame{Inner{File: f}, Inner{Address: strings.Repeat("a", 256), File: f}, Tickets{File: f}} {
		if err := a.Write(wrong); err == nil {
			t.Errorf("%+v was sent", wrong)
		}
	}
}

package topology

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/fleet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// followed runs a Source, and has what it tells: the IDs that it lists, what it is silent for, and its warnings.
type followed struct {
	t    *testing.T
	file string
	told chan string
}

func follow(t *testing.T, text string) *followed {
	t.Helper()
	f := &followed{t: t, file: filepath.Join(t.TempDir(), "servers.json"), told: make(chan string, 100)}
	if text != "" {
		f.replace(text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s := Source{Name: "topology", File: f.file, Environment: "production", Warn: func(text string) { f.told <- "warn: " + text }}
		s.Run(ctx, func(ev fleet.Event) {
			switch e := ev.(type) {
			case fleet.Listed:
				var ids []string
				for _, m := range e.Members {
					ids = append(ids, m.ID)
				}
				f.told <- strings.Join(ids, " ")
			case fleet.Silent:
				f.told <- "silent: " + e.Why
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// replace moves a new file into place, as editors and deployments do.
func (f *followed) replace(text string) {
	f.t.Helper()
	aside := filepath.Join(f.t.TempDir(), "aside")
	if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(aside, f.file); err != nil {
		f.t.Fatal(err)
	}
}

func (f *followed) want(text string) {
	f.t.Helper()
	if got := eventually.Receive(f.t, text, f.told); !strings.Contains(got, text) {
		f.t.Fatalf("got %q, want %q", got, text)
	}
}

func chat(ids ...string) string {
	var all []string
	for i, id := range ids {
		all = append(all, `{"id":"`+id+`","host":"h","port":`+string(rune('1'+i))+`}`)
	}
	return `{"production":{"chat":[` + strings.Join(all, ",") + `]}}`
}

// TestLive: a server that is added is listed. A file that is broken, emptied, or away keeps the servers, and each fault is told once.
func TestLive(t *testing.T) {
	t.Parallel()
	f := follow(t, chat("a", "b"))
	f.want("a b")
	f.replace(chat("a", "b", "c"))
	f.want("a b c")
	f.replace(`{"production":{"chat":[{"id":"a"}]}}`)
	f.want("silent: " + f.file + ":1:24: production.chat[0].host: is missing: a name or an IP is expected (and 1 more); the 3 servers that were read before stay")
	f.replace("")
	f.want("warn: " + f.file + ":1:1: empty server configs: the file is empty; the 3 servers that were read before stay")
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	f.want("no such file or directory; the 3 servers that were read before stay")
	f.replace(chat("a", "b", "c"))
	f.want("a b c") // as it was before: the fleet hears the source again
	f.replace(strings.Replace(chat("a"), `"port"`, `"prt":0,"port"`, 1))
	f.want("warn: " + f.file + ":1:45: production.chat[0].prt: unknown field: did you mean port?")
	f.want("a")
}

// TestWrittenInSteps: a file that is written over piece by piece is never taken for one with fewer servers.
func TestWrittenInSteps(t *testing.T) {
	t.Parallel()
	f := follow(t, chat("a", "b"))
	f.want("a b")
	w, err := os.OpenFile(f.file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	text := chat("a", "b", "c")
	if _, err := w.WriteString(text[:len(text)/2]); err != nil {
		t.Fatal(err)
	}
	f.want("too early, as one that is being written does; the 2 servers that were read before stay")
	if _, err := w.WriteString(text[len(text)/2:]); err != nil {
		t.Fatal(err)
	}
	f.want("a b c")
}

// TestAbsentAtFirst: the file may come later.
func TestAbsentAtFirst(t *testing.T) {
	t.Parallel()
	f := follow(t, "")
	f.want("silent: stat " + f.file + ": no such file or directory")
	f.replace(chat("a"))
	f.want("a")
}

// TestNotAFile: a folder is an error, and nothing waits for a pipe that is never written.
func TestNotAFile(t *testing.T) {
	t.Parallel()
	if _, err := readFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Error(err)
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, MostBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(big); err == nil || !strings.Contains(err.Error(), "has more than 8388608 bytes") {
		t.Error(err)
	}
}

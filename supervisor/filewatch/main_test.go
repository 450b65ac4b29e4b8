package filewatch

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// putFile writes a file with one change that a watch can see: a file that is there is written over, a new one is moved into place.
// os.WriteFile would make two changes, and a busy machine may have more than the debounce between them.
func putFile(t *testing.T, file, text string) {
	t.Helper()
	if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		_, err = f.WriteString(text)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, file); err != nil {
		t.Fatal(err)
	}
}

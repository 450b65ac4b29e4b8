package numbered

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func TestCount(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]uint64{"7": 5, "8": 2} {
		if err := os.WriteFile(filepath.Join(dir, name), binary.LittleEndian.AppendUint64(nil, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var l Lines
	for _, text := range []string{
		`{"message":"line 1 of process 7."}`, "line 2 of process 7.", "line 2 of process 7.",
		"line 4 of process 7.",                                            // without its first half
		`torn {"message":"line 5 of process 7."}`, "line 6 of process 7.", // one more than it has counted
		"line 1 of process 8.", "line 2 of process 8", // not its end
		"line 0 of process 8.", "line 99999999999999999999 of process 8.", "half of it",
	} {
		l.Find(text)
	}
	c, err := l.Count(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Processes != 2 || c.Written != 7 || c.Missing != 3 || c.Twice != 1 || len(c.Lost) != 2 {
		t.Errorf("%+v", c)
	}
	l.Find("half 4 of process 7, line 3 of process 7.")
	l.Find("line 2 of process 8.")
	if c, _ := l.Count(dir); c.Missing != 0 || len(c.Lost) != 0 {
		t.Errorf("with all of them: %+v", c)
	}
}

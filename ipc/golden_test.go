package ipc

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds the bytes of each frame: they may not change within a protocol version.
func TestGolden(t *testing.T) {
	for _, f := range fixtures(t) {
		name := f.frameType().String()
		t.Run(name, func(t *testing.T) {
			wire, err := appendFrame(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			got := hex.Dump(wire)
			path := filepath.Join("testdata", "golden", name+".hex")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("encoded as\n%swanted\n%s", got, want)
			}
			h, err := parseHeader(wire)
			if err != nil {
				t.Fatal(err)
			}
			back, err := decode(h.typ, wire[headerLen:], nil)
			if err != nil {
				t.Fatal(err)
			}
			defer Discard(back)
			if !sameFrame(t, back, f) {
				t.Errorf("decoded as %#v, wanted %#v", back, f)
			}
		})
	}
}

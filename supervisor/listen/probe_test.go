package listen

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	Probe() // what is done once a process
	files := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	before, began := files(), time.Now()
	found := Probe()
	took := time.Since(began)
	if after := files(); after != before {
		t.Errorf("%d descriptors were open, %d are now", before, after)
	}
	if limit := 200 * time.Millisecond; took > limit {
		t.Errorf("took %s, may take %s", took, limit)
	}
	t.Logf("took %s", took)
	seen := map[string]bool{}
	for _, c := range found {
		if c.Name == "" || c.Detail == "" || seen[c.Name] || c.OK != (c.Needs == "") {
			t.Errorf("not well formed: %+v", c)
		}
		seen[c.Name] = true
		text, err := json.Marshal(c)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s", text)
	}
	if balances && !seen["ebpf"] || !seen["hash"] {
		t.Errorf("kinds are missing: %v", seen)
	}
}

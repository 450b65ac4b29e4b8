package metrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

func heap(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestProfilesAreMergedWithoutThoseThatFail(t *testing.T) {
	workers := []Worker{{Slot: 0, ID: 4}, {Slot: 1, ID: 5}, {Slot: 2, ID: 6}, {Slot: 3, ID: 7}}
	replies := []reply{{text: heap(t)}, {err: errors.New("it hangs")}, {text: []byte("rubbish")}, {text: heap(t)}}
	data, err := mergeProfiles(workers, replies)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(data)
	if err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		t.Fatal(err)
	}
	var slots []string
	for _, s := range p.Sample {
		slots = append(slots, s.Label["slot"]...)
	}
	slices.Sort(slots)
	if slots = slices.Compact(slots); !slices.Equal(slots, []string{"0", "3"}) {
		t.Errorf("slots %v", slots)
	}
	if len(p.Comments) != 2 || p.Comments[0] != "missing: slot 1, worker 5: it hangs" || !strings.HasPrefix(p.Comments[1], "missing: slot 2, worker 6: its profile cannot be read") {
		t.Errorf("%q", p.Comments)
	}
	if _, err := mergeProfiles(workers[1:3], replies[1:3]); err == nil || err.Error() != "it hangs" {
		t.Error(err)
	}
}

func TestProfileOfTooMuchIsNotUnpacked(t *testing.T) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	block := make([]byte, 1<<20)
	for range maxUnpacked>>20 + 1 {
		if _, err := z.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := labelled(Worker{}, reply{text: b.Bytes()}); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes") {
		t.Error(err)
	}
}

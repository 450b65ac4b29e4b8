package members

import (
	"reflect"
	"strings"
	"testing"
)

// TestOutcomes: a message arrives as it was sent, within its bounds.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	sent := []Outcome{{ID: "a", Answered: true, Failed: 2, Why: "refused"}, {ID: "b", Failed: 2 * MostFailed, Why: strings.Repeat("é", MostWhy)}}
	for range 2 * MostOutcomes {
		sent = append(sent, Outcome{ID: "c"})
	}
	b, err := EncodeOutcomes(sent)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeOutcomes(b)
	if err != nil || len(got) != MostOutcomes || !reflect.DeepEqual(got[0], sent[0]) || got[1].Failed != MostFailed || got[1].Why != strings.Repeat("é", MostWhy/2) {
		t.Errorf("%v, %d, %+v", err, len(got), got[:2])
	}
	for _, text := range []string{
		"", "{}", `[{}]`, `[{"id":"a","failed":-1}]`, `[{"id":"a","failed":99999999}]`, `[{"id":"` + strings.Repeat("x", MostID+1) + `"}]`,
		`[{"id":"a","why":"` + strings.Repeat("x", MostWhy+1) + `"}]`, "[" + strings.Repeat(`{"id":"a"},`, MostOutcomes) + `{"id":"a"}]`,
	} {
		if got, err := DecodeOutcomes([]byte(text)); err == nil {
			t.Errorf("%.60q is %+v", text, got)
		}
	}
}

func FuzzDecodeOutcomes(f *testing.F) {
	f.Add([]byte(`[{"id":"a","answered":true,"failed":1,"why":"x"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := DecodeOutcomes(b)
		if err != nil {
			return
		}
		again, err := EncodeOutcomes(all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeOutcomes(again); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}

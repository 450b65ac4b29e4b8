package load

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	d, err := Decode([]byte(`{"version":1,"epoch":5,"sequence":2,"hold_ms":1.5,"stats":{"cpu_idle":0.5,"queue_of_mine":3},"later":true}`))
	if err != nil || d.Epoch != 5 || d.Sequence != 2 || d.HoldMS != 1.5 || d.Stats[members.CPUIdle] != 0.5 || d.Stats["queue_of_mine"] != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	for text, want := range map[string]string{
		`{"stats":{}}`:                "it has version 0, and 1 to 1 is expected",
		`{"version":2}`:               "version 2",
		`{"version":1,"hold_ms":-1}`:  "hold_ms is -1",
		`{"version":1,"stats":{"a":"`: "cannot read a load report",
		`{"version":1,"stats":[1]}`:   "cannot read a load report",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	var document any
	text := `{"cpu":{"idle":53,"busy":"47"},"disks":[{"free":10},{"free":null}],"n":3,"t":"x","b":true,"big":1e308}`
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]float64{
		"cpu.idle": 53, "cpu.idle * 0.01": 0.53, "1 - cpu.busy / 100": 0.53, "disks.0.free": 10, "n": 3, " n ": 3, "-5 - n": -8,
	} {
		n, err := ParseNumber(place)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		if got, err := n.In(document); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", place, got, err, want)
		}
	}
	for place, want := range map[string]string{
		"cpu.none": "absent", "disks.1.free": "absent", "disks.2.free": "absent", "disks.x": "absent", "n.m": "absent", "disks.-1": "absent",
		"t": `t is "x", which is not a number`, "b": "b is not a number", "cpu": "cpu is not a number", "big * 100": "big is not a finite number",
	} {
		n, err := ParseNumber(place)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		_, err = n.In(document)
		if want == "absent" {
			if !errors.Is(err, ErrAbsent) {
				t.Errorf("%s: %v", place, err)
			}
		} else if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", place, err, want)
		}
	}
	for _, place := range []string{"", "a..b", "a.", ".", "a * x", "a / 0", "a + 1", "a b", "x - a", "1 - ", "a * 0.1 * 2", "a * Inf"} {
		if n, err := ParseNumber(place); err == nil {
			t.Errorf("%q is %+v", place, n)
		}
	}
}

// FuzzNumber: what is a number is finite, whatever the place and the document.
func FuzzNumber(f *testing.F) {
	f.Add("1 - a.0.b / 100", []byte(`{"a":[{"b":1}]}`))
	f.Fuzz(func(t *testing.T, place string, text []byte) {
		n, err := ParseNumber(place)
		var document any
		if err != nil || json.Unmarshal(text, &document) != nil {
			return
		}
		if v, err := n.In(document); err == nil && !finite(v) {
			t.Fatal(v)
		}
	})
}

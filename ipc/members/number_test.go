package members

import (
	"encoding/json"
	"testing"
)

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
		if got, there, err := n.In(document); err != nil || !there || got != want {
			t.Errorf("%s: got %v, %v, want %v", place, got, err, want)
		}
	}
	for place, want := range map[string]string{
		"cpu.none": "absent", "disks.1.free": "absent", "disks.2.free": "absent", "disks.x": "absent", "n.m": "absent", "disks.-1": "absent",
		"t": `"x" at t, which is not a number`, "b": `"true" at b, which is not a number`, "cpu": `"map[busy:47 idle:53]" at cpu, which is not a number`,
		"big * 100": "1e+308 at big, which is not a number that can be used",
	} {
		n, err := ParseNumber(place)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		_, there, err := n.In(document)
		if want == "absent" {
			if there || err != nil {
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
		if v, _, err := n.In(document); err == nil && !finite(v) {
			t.Fatal(v)
		}
	})
}

package listen

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What Recover makes of the files is what Save has told.
func TestRecover(t *testing.T) {
	path := "unix:" + filepath.Join(t.TempDir(), "x.sock")
	for name, texts := range map[string][]string{
		"all":   {"127.0.0.1:0", ":0", "tcp4://:0", "[::1]:0", path},
		"none":  {},
		"files": {path},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "all" && testing.Short() {
				t.Skip("SKIPPED: needs IPv6")
			}
			addresses := mustParse(t, texts...)
			s, err := Open(addresses, 3, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			saved, files := keep(t, s)
			got, err := Recover(files, addresses, 3)
			if err != nil {
				t.Fatal(err)
			}
			saved.Admitted = first(3) // no connection was steered there yet
			if !reflect.DeepEqual(got, saved) {
				t.Errorf("recovered\n%+v\nwas\n%+v", got, saved)
			}
			s.Leave()
			a := mustAdopt(t, got, files, Options{})
			if a.Slots() != 3 || !reflect.DeepEqual(a.Save().Addresses, saved.Addresses) {
				t.Errorf("adopted: %+v", a.Save())
			}
		})
	}
}

// The files of another Set are not taken for one's own.
func TestRecoverRefuses(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0", "127.0.0.1:0")
	_, files := keep(t, s)
	for want, texts := range map[string][]string{
		"more than 1 address": {"127.0.0.1:0"},
		"is missing":          {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"},
		"is wanted":           {"127.0.0.1:0", "127.0.0.1:1"},
		"::1":                 {"[::1]:0", "127.0.0.1:0"},
		"unix:/x":             {"127.0.0.1:0", "unix:/x"},
	} {
		if got, err := Recover(files, mustParse(t, texts...), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %+v, %v; want an error with %q", texts, got, err, want)
		}
	}
}

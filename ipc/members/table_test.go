package members

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func sample() Table {
	return Table{Version: Version, Epoch: 7, Members: []Member{
		{ID: "a", Address: "10.0.0.1:80", Weight: 1, State: Ready, Report: &Report{Epoch: 3, Sequence: 9, ReceivedAt: 1, Stats: map[Stat]Value{CPUIdle: 0.5}}},
		{ID: "b", Address: "10.0.0.2:80", Weight: 0.5, State: Ejected, Why: "5 failures in a row"},
	}}
}

func TestTableTravels(t *testing.T) {
	t.Parallel()
	b, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestTableRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Table)
		want   string
	}{
		"no id":         {func(t *Table) { t.Members[0].ID = "" }, "has no id"},
		"one id twice":  {func(t *Table) { t.Members[0].ID = "b" }, `two have the id "b"`},
		"no address":    {func(t *Table) { t.Members[1].Address = "" }, `member "b" has no address`},
		"weight":        {func(t *Table) { t.Members[0].Weight = -1 }, "0 to 1e+06 is expected"},
		"max in flight": {func(t *Table) { t.Members[0].MaxInFlight = -1 }, "max_in_flight -1"},
		"state":         {func(t *Table) { t.Members[0].State = "asleep" }, "one of starting, ready, draining, down, ejected, paused is expected"},
	} {
		all := sample()
		c.change(&all)
		b, err := Encode(all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := Decode([]byte(`{"version":2,"members":[]}`)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
}

func TestReportAfter(t *testing.T) {
	t.Parallel()
	last := &Report{Epoch: 5, Sequence: 10}
	for _, c := range []struct {
		r    Report
		want bool
	}{
		{Report{Epoch: 5, Sequence: 11}, true}, {Report{Epoch: 5, Sequence: 10}, false}, {Report{Epoch: 5, Sequence: 9}, false},
		{Report{Epoch: 6, Sequence: 0}, true}, {Report{Epoch: 4, Sequence: 99}, false},
	} {
		if got := c.r.After(last); got != c.want {
			t.Errorf("%+v after %+v: %t", c.r, last, got)
		}
	}
	if !(&Report{}).After(nil) {
		t.Error("the first report comes after none")
	}
}

func TestCheckAddresses(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"10.0.0.1:80", "web.internal:8080", "[::1]:80", "/run/web.sock"} {
		if err := CheckAddresses([]string{ok}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for want, all := range map[string][]string{
		"0 members":               nil,
		"there twice":             {"a:1", "a:1"},
		`"web" is not an address`: {"web"},
		`":80" is not an address`: {":80"},
		`"web:http" is not`:       {"web:http"},
		`"web:0" is not`:          {"web:0"},
		`"run/web.sock" is not`:   {"run/web.sock"},
	} {
		if err := CheckAddresses(all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", all, err, want)
		}
	}
}

// FuzzDecode: whatever arrives is refused or is a table that holds what Decode promises, and travels again unchanged.
func FuzzDecode(f *testing.F) {
	b, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"members":[{"id":"a","address":"x","state":"ready","weight":1e400}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Decode(b)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, m := range table.Members {
			if m.ID == "" || ids[m.ID] || m.Check() != nil {
				t.Fatalf("accepted %+v", m)
			}
			ids[m.ID] = true
		}
		again, err := Encode(table)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if twice, _ := Encode(back); !bytes.Equal(again, twice) {
			t.Fatalf("changes on the way:\n%s\n%s", again, twice)
		}
	})
}

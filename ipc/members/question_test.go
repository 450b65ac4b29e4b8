package members

import (
	"reflect"
	"strings"
	"testing"
)

func TestQuestionFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, id, address, want string }{
		{"http://{address}/v1/load", "a", "10.0.0.1:8080", "http://10.0.0.1:8080/v1/load"},
		{"http://{host}:99/{id}?p={port}", "a b/c", "10.0.0.1:8080", "http://10.0.0.1:99/a%20b%2Fc?p=8080"},
		{"https://{host}:99/", "a", "[::1]:80", "https://[::1]:99/"},
		{"http://{address}/", "a", "[::1]:80", "http://[::1]:80/"},
		{"http://{address}/", "a", "/run/a.sock", "http://localhost:80/"},
		{"http://fixed:1/{id}", "a", "h:1", "http://fixed:1/a"},
	} {
		q := Question{URL: c.url}
		if got, err := q.For(&Member{ID: c.id, Address: c.address}); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.url, got, err, c.want)
		}
		if err := q.Check(); err != nil {
			t.Errorf("%s: %v", c.url, err)
		}
	}
	for _, q := range []Question{{}, {URL: "{address}"}, {URL: "ftp://{address}"}, {URL: "http://{adress}/"}, {URL: "http://{address}", Stats: map[Stat]string{"a": ""}},
		{URL: "http://{address}", Stats: map[Stat]string{"a": "b..c"}}} {
		if err := q.Check(); err == nil {
			t.Errorf("%+v is right", q)
		}
	}
}

func TestQuestionRead(t *testing.T) {
	t.Parallel()
	q := Question{Stats: map[Stat]string{CPUIdle: "load.cpu.0", "jobs": "jobs", Sessions: "s"}}
	for answer, want := range map[string]map[Stat]Value{
		`{"load":{"cpu":[0.5,1]},"jobs":"3","s":7,"x":1}`: {CPUIdle: 0.5, "jobs": 3, Sessions: 7},
		`{"load":{"cpu":[]},"jobs":null}`:                 {},
		`{"load":5,"s":0}`:                                {Sessions: 0},
		`[]`:                                              {},
	} {
		if r, err := q.Read([]byte(answer)); err != nil || !reflect.DeepEqual(r.Stats, want) {
			t.Errorf("%s: %v, %v, want %v", answer, r.Stats, err, want)
		}
	}
	for answer, want := range map[string]string{
		``: "not JSON", `{"jobs":true}`: `"true" at jobs`, `{"jobs":"NaN"}`: "not a number", `{"jobs":1e999}`: "not a number", `{"s":[1]}`: "not a number",
	} {
		if r, err := q.Read([]byte(answer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", answer, r, err, want)
		}
	}
	whole := Question{}
	r, err := whole.Read([]byte(`{"epoch":3,"sequence":4,"received_at":5,"hold":6,"stats":{"in_flight":7},"more":true}`))
	if want := (Report{Epoch: 3, Sequence: 4, Hold: 6, Stats: map[Stat]Value{InFlight: 7}}); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := whole.Read([]byte(`no`)); err == nil {
		t.Error("no is a report")
	}
}

func FuzzQuestionRead(f *testing.F) {
	f.Add([]byte(`{"load":{"cpu":[0.5]},"jobs":"3"}`), "load.cpu.0")
	f.Add([]byte(`[[1]]`), "0.0")
	f.Fuzz(func(t *testing.T, answer []byte, path string) {
		q := Question{URL: "http://{address}", Stats: map[Stat]string{"a": path}}
		if q.Check() != nil {
			return
		}
		if r, err := q.Read(answer); err == nil {
			if err := (&Report{Stats: r.Stats}).check("a"); err != nil {
				t.Error(err)
			}
		}
	})
}

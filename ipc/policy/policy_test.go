package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample() Policy {
	return Policy{
		Version: Version, Name: "gate", Pick: Rendezvous, Key: "cookie:session", Bounded: 1.25, Retry: []int{502},
		Trust: []string{"10.0.0.0/8"}, DialTimeout: time.Second,
	}
}

func TestPolicyTravels(t *testing.T) {
	t.Parallel()
	b, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got.Trusted()[0].String() != "10.0.0.0/8" {
		t.Errorf("trusted: %v", got.Trusted())
	}
}

func TestPolicyRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{`:                           "cannot read the policy",
		`{}`:                          "version 0",
		`{"version":2}`:               "upgrade this program",
		`{"version":1,"pick":"best"}`: `pick: "best" is not known`,
		`{"version":1,"key":"uid"}`:   `key: cannot pick by the key "uid"`,
		`{"version":1,"bounded":1.5}`: "bounded: it is for the ways by key",
		`{"version":1,"pick":"maglev","bounded":0.5}`: "bounded: 0.5 is out of range",
		`{"version":1,"retry":[500]}`:                 "retry: 500",
		`{"version":1,"trust":["10.0.0.1"]}`:          "trust:",
		`{"version":1,"dial_timeout":-1}`:             "dial_timeout: -1ns is negative",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if app, ok := GatewayOf(TableKey("a.b")); !ok || app != "a.b" {
		t.Errorf("%q, %v", app, ok)
	}
	for _, key := range []string{Key("a"), "tine.gate.", "web"} {
		if app, ok := GatewayOf(key); ok {
			t.Errorf("%s is the table of %q", key, app)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := Encode(sample())
	f.Add(b)
	f.Add([]byte(`{"version":1,"pick":"least"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := Decode(again); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v, %v", p, q, err)
		}
	})
}

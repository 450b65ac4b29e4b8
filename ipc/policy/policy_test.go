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
		`{"version":1,"pick":"maglev","bounded":0.5}`:            "bounded: 0.5 is out of range",
		`{"version":1,"retry":[500]}`:                            "retry: 500",
		`{"version":1,"trust":["10.0.0.1"]}`:                     "trust:",
		`{"version":1,"queue":{"max":-2}}`:                       "queue.max: -2 is negative",
		`{"version":1,"queue":{"timeout":-1}}`:                   "queue.timeout: -1ns is negative",
		`{"version":1,"queue":{"target":20000000000}}`:           "queue.target: 20s is longer than interval, which is 10s",
		`{"version":1,"queue":{"target":2,"interval":1}}`:        "queue.target: 2ns is longer than interval, which is 1ns",
		`{"version":1,"queue":{"timeout":1,"interval":2}}`:       "queue.interval: 2ns is longer than timeout",
		`{"version":1,"queue":{"max_bytes":-1}}`:                 "queue.max_bytes: -1",
		`{"version":1,"queue":{"priority_header":"X Priority"}}`: "queue.priority_header:",
		`{"version":1,"dial_timeout":-1}`:                        "dial_timeout: -1ns is negative",
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

// TestScore: what cannot be added up is refused, and where statistics are asked for, so is one that is not.
func TestScore(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"pick":"score","score":{"multipliers":{"cpu_idle":1,"jobs":0}}`:                                                "",
		`"pick":"score","score":{"multipliers":{"memory_free":-1},"raw":true}`:                                          "",
		`"pick":"score","score":{"formula":"rtt_ms","highest_wins":true}`:                                               "",
		`"routes":[{"pick":"score"}],"score":{"raw":true}`:                                                              "",
		`"pick":"score","evaluate":{"mode":"continuous","url":"http://{address}/v1/load","request_timeout":1000000000}`: "",
		`"pick":"least","score":{"raw":true}`:                                                                           "score: it is for pick: score",
		`"pick":"score","score":{"multipliers":{"memory_free":-1}}`:                                                     "score.multipliers.memory_free: -1 is out of range",
		`"pick":"score","score":{"formula":"rtt_ms","raw":true}`:                                                        "score.formula: it takes the place",
		`"pick":"score","score":{"highest_wins":true}`:                                                                  "score.best: it is for a formula",
		`"evaluate":{"url":"{address}"}`:                                                                                "evaluate: ",
		`"evaluate":{"mode":"often","url":"http://{address}"}`:                                                          `evaluate.mode: "often" is not known: write one of on-request, continuous`,
		`"evaluate":{"url":"http://{address}","valid_timeout":1}`:                                                       "evaluate.valid_timeout: 1ns is out of range: write 10ms to 1h0m0s",
	} {
		p, err := Decode([]byte(`{"version":1,"name":"gate",` + text + `}`))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if want != "" {
			continue
		}
		b, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(b); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v became %+v, %v", p, again, err)
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

// TestDeliveryRefused: what is wrong with how a policy routes and delivers is told by its field.
func TestDeliveryRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"routes":[{"hosts":["A.example"]}]`:                           `routes.0.host: "A.example" is not a host`,
		`"routes":[{"name":"a b"}]`:                                    `routes: "a b" is not a name`,
		`"routes":[{"name":"x","hosts":["a.*.example"]}]`:              `is not a host`,
		`"routes":[{},{"path":"api"}]`:                                 `routes.1.path: "api" is not the beginning of a path`,
		`"routes":[{"path":"/a%20b"}]`:                                 `without escapes`,
		`"routes":[{"methods":["get"]}]`:                               `routes.0.methods: "get" is not a method`,
		`"routes":[{"strip":true,"path":"/"}]`:                         `routes.0.strip: there is nothing`,
		`"routes":[{"key":"uid"}]`:                                     `routes.0.key: cannot pick`,
		`"routes":[{"pick":"best"}]`:                                   `routes.0.pick: "best" is not known`,
		`"routes":[{"to":"a","pick":"least"},{"to":"a","pick":"p2c"}]`: `routes.1.pick: it is p2c here and least in a route before`,
		`"routes":[{"deliver":"mail"}]`:                                `routes.0.deliver: "mail" is not known`,
		`"deliver":"redirect","routes":[{"strip":true,"path":"/a"}]`:   `routes.0.strip: a client that is sent`,
		`"base":"example.com"`:                                         `base: "example.com" is not a base`,
		`"replay":-1`:                                                  `replay: -1 bytes`,
		`"fail_status":[200]`:                                          `eject.status: 200 is not the status`,
		`"sticky":{"by":""}`:                                           `sticky.by: it is missing`,
		`"sticky":{"by":"user"}`:                                       `sticky.by: "user" is not known`,
		`"sticky":{"by":"ip"},"pick":"least"`:                          `sticky.by: ip is a key, and members are picked by least`,
		`"sticky":{"by":"header:X","cookie":"a"}`:                      `sticky.by: header:X has no cookie`,
		`"sticky":{"by":"cookie","cookie":"a b"}`:                      `sticky.cookie: "a b" is not a name`,
		`"sticky":{"by":"login"}`:                                      `sticky.login: "" is not a path`,
		`"sticky":{"by":"cookie","login":"/in"}`:                       `sticky.login: it is for by: login`,
		`"sticky":{"by":"login","login":"/in","logout":"out"}`:         `sticky.logout: "out" is not a path`,
		`"sticky":{"by":"cookie","age":-1}`:                            `sticky.age: -1ns is negative`,
	} {
		_, err := Decode([]byte(`{"version":1,"name":"gate",` + text + `}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{
		`"sticky":{"by":"ip"},"bounded":1.25`, `"sticky":{"by":"login","login":"/in","logout":"/out","secret":"s","draining":true}`,
		`"routes":[{"hosts":["*.example.com","::1"],"path":"/ü","strip":true,"methods":["GET"],"to":"a","key":"segment:2","pick":"maglev","deliver":"lookup"}]`,
		`"deliver":"redirect","base":"http://192.168.150.36/","keep_path":true`,
	} {
		if _, err := Decode([]byte(`{"version":1,"name":"gate",` + text + `}`)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

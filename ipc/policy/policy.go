package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// Prefix begins the keys of all values that gateways go by. Only the master writes them: it takes no value for such a key from a
// worker, a program or a person.
const Prefix = "tine.gate."

// TableKey is the key of the cached value that has the table of a gateway's members. app is the name of the gateway.
func TableKey(app string) string { return Prefix + app }

// Key is that of the value that has its Policy.
func Key(app string) string { return Prefix + app + ".policy" }

// GatewayOf is the name of the gateway whose table a key has; false: it is not the key of a table.
func GatewayOf(key string) (app string, ok bool) {
	app, ok = strings.CutPrefix(key, Prefix)
	return app, ok && app != "" && !strings.HasSuffix(app, ".policy")
}

// Version is that of the document. A reader takes every version up to its own, and refuses a later one.
const Version = 1

// Policy says how a gateway treats requests. The zero value of each field is its default.
type Policy struct {
	Version int    `json:"version"`
	Name    string `json:"name"` // of the gateway's app

	// How a member is picked. See package worker/gate.
	Pick    string  `json:"pick,omitempty"`    // one of Ways; "": Prequal
	Key     string  `json:"key,omitempty"`     // what the ways by key go by: see ParseKey
	Bounded float64 `json:"bounded,omitempty"` // more than 1; 0: no bound
	Signed  bool    `json:"signed,omitempty"`  // of CRC32Mod

	// Where a request goes: by the first of Routes that is for it; where there are none, to all members. See package worker/gate/route.
	Routes []Route `json:"routes,omitempty"`
	Sticky *Sticky `json:"sticky,omitempty"` // nil: a user has no member of their own

	// How a request is delivered. See packages worker/gate/proxy, redirect and lookup.
	Deliver  string `json:"deliver,omitempty"`   // "": DeliverProxy
	Base     string `json:"base,omitempty"`      // of a redirect: the URL below which each member is, by its ID; "": its client address
	KeepPath bool   `json:"keep_path,omitempty"` // of a redirect: the path and query of the request are added
	// Replay bounds the body that is kept of a request which its member may have sent on (header Tine-Replay), in bytes. 0: no member
	// may.
	Replay     int64 `json:"replay,omitempty"`
	FailStatus []int `json:"fail_status,omitempty"` // of answers by which a member fails, for its ejection; none: 502, 503 and 504

	Score    Score     `json:"score,omitzero"`     // of ByScore
	Evaluate *Evaluate `json:"evaluate,omitempty"` // nil: the statistics are those of the table

	Edge Edge `json:"edge,omitzero"`

	Queue Queue `json:"queue,omitzero"` // where requests wait that cannot be placed

	Retry         []int         `json:"retry,omitempty"`   // statuses of 502, 503 and 504
	Trust         []string      `json:"trust,omitempty"`   // networks of proxies before this one
	History       int           `json:"history,omitempty"` // how many requests each worker remembers, up to MostHistory; 0: none
	DialTimeout   time.Duration `json:"dial_timeout,omitempty"`
	AnswerTimeout time.Duration `json:"answer_timeout,omitempty"`
}

// MostHistory bounds Policy.History.
const MostHistory = 10_000

// Encode writes p for Decode.
func Encode(p Policy) ([]byte, error) {
	p.Version = Version
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the policy of gateway %s: %w", p.Name, err)
	}
	return b, nil
}

// Decode reads what Encode has written, and checks it.
func Decode(b []byte) (Policy, error) {
	var p Policy
	if err := json.Unmarshal(b, &p); err != nil {
		return Policy{}, fmt.Errorf("cannot read the policy of a gateway: %w", err)
	}
	if p.Version < 1 || p.Version > Version {
		return Policy{}, fmt.Errorf("cannot read the policy of gateway %s: it has version %d, and 1 to %d is expected; upgrade this program", p.Name, p.Version, Version)
	}
	if faults := p.Check(); len(faults) > 0 {
		return Policy{}, fmt.Errorf("cannot read the policy of gateway %s: %s: %s", p.Name, faults[0].Field, faults[0].Text)
	}
	return p, nil
}

// Fault is one thing that is wrong with a policy.
type Fault struct {
	Field string // as a config has it, such as pick
	Text  string // what was found, and what is expected
}

// Check says what is wrong with p.
func (p *Policy) Check() (all []Fault) {
	fail := func(field, format string, args ...any) { all = append(all, Fault{field, fmt.Sprintf(format, args...)}) }
	checkWay(fail, p.Pick)
	checkKey(fail, p.Key)
	p.checkDelivery(fail)
	p.Edge.faults(fail)
	if p.Edge.Protocol == ProtocolTCP && (len(p.Routes) > 0 || p.Sticky != nil || p.Deliver != "" && p.Deliver != DeliverProxy || p.Key != "" && p.Key != KeyIP) {
		fail("protocol", "routes, sticky, deliver and keys other than ip are for HTTP: leave them out with tcp")
	}
	all = append(all, p.Queue.Faults()...)
	if p.Bounded != 0 && (!(p.Bounded > 1) || math.IsInf(p.Bounded, 0)) {
		fail("bounded", "%v is out of range: write more than 1, such as 1.25", p.Bounded)
	}
	if p.Bounded != 0 && !ByKey(p.Way()) {
		fail("bounded", "it is for the ways by key: write pick: %s, %s or %s", CRC32Mod, Rendezvous, Maglev)
	}
	p.checkScore(fail)
	for _, status := range p.Retry {
		if status < 502 || status > 504 {
			fail("retry", "%d is not one of 502, 503 and 504", status)
		}
	}
	for _, text := range p.Trust {
		if _, err := netip.ParsePrefix(text); err != nil {
			fail("trust", "%q is not a network: write one as 10.0.0.0/8", text)
		}
	}
	if p.History < 0 || p.History > MostHistory {
		fail("history", "%d is out of range: write 0 to %d", p.History, MostHistory)
	}
	for field, d := range map[string]time.Duration{"dial_timeout": p.DialTimeout, "answer_timeout": p.AnswerTimeout} {
		if d < 0 {
			fail(field, "%s is negative", d)
		}
	}
	return all
}

// Trusted are the networks of Trust.
func (p *Policy) Trusted() (all []netip.Prefix) {
	for _, text := range p.Trust {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			all = append(all, prefix)
		}
	}
	return all
}

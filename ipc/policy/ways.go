package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// The ways of picking a member. Package worker/gate says what each does.
const (
	RoundRobin = "round-robin"
	WeightedRR = "weighted-rr"
	Random     = "random"
	First      = "first"
	Least      = "least"
	P2C        = "p2c"
	ByScore    = "score"
	Prequal    = "prequal"
	PeakEWMA   = "peak-ewma"
	CRC32Mod   = "crc32-mod"
	Rendezvous = "rendezvous"
	Maglev     = "maglev"
)

// Ways are the names of all of them.
var Ways = []string{RoundRobin, WeightedRR, Random, First, Least, P2C, ByScore, Prequal, PeakEWMA, CRC32Mod, Rendezvous, Maglev}

// ByKey reports whether a way chooses by the key of a request.
func ByKey(way string) bool { return way == CRC32Mod || way == Rendezvous || way == Maglev }

// RequestKey is what of a request the ways by key go by.
type RequestKey struct {
	Kind string // KeyIP, KeyPath, KeyHost, KeyHeader, KeyCookie, KeyQuery, KeySegment or KeyJSON
	Name string // of a header, a cookie, a parameter of the query, or a field of JSON, with dots between the names of objects
	N    int    // of a segment of the path, from 1
}

// The kinds of keys.
const (
	KeyIP      = "ip" // the address of the client
	KeyPath    = "path"
	KeyHost    = "host"
	KeyHeader  = "header"
	KeyCookie  = "cookie"
	KeyQuery   = "query"
	KeySegment = "segment" // one segment of the path
	KeyJSON    = "json"    // one field of a body of at most MostKeyBody bytes
)

// MostKeyBody bounds the body that is looked at for a key, in bytes.
const MostKeyBody = 64 << 10

// Keys are the keys that ParseKey reads, in words.
const Keys = "ip, path, host, header:NAME, cookie:NAME, query:NAME, segment:N or json:FIELD"

// ParseKey reads a key as a config has it: ip, path, host, header:NAME, cookie:NAME, query:NAME, segment:N or json:FIELD. "" is ip.
func ParseKey(text string) (RequestKey, error) {
	kind, name, named := strings.Cut(text, ":")
	switch {
	case text == "":
		return RequestKey{Kind: KeyIP}, nil
	case !named && (kind == KeyIP || kind == KeyPath || kind == KeyHost):
		return RequestKey{Kind: kind}, nil
	case named && name != "" && (kind == KeyHeader || kind == KeyCookie || kind == KeyQuery || kind == KeyJSON):
		return RequestKey{Kind: kind, Name: name}, nil
	case named && kind == KeySegment:
		if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= 100 {
			return RequestKey{Kind: kind, N: n}, nil
		}
	}
	return RequestKey{}, fmt.Errorf("cannot pick by the key %q: %s is expected", text, Keys)
}

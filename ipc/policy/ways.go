package policy

import (
	"fmt"
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
	Kind string // KeyIP, KeyPath, KeyHost, KeyHeader, KeyCookie or KeyQuery
	Name string // of a header, a cookie or a parameter of the query
}

// The kinds of keys.
const (
	KeyIP     = "ip" // the address of the client
	KeyPath   = "path"
	KeyHost   = "host"
	KeyHeader = "header"
	KeyCookie = "cookie"
	KeyQuery  = "query"
)

// ParseKey reads a key as a config has it: ip, path, host, header:NAME, cookie:NAME or query:NAME. "" is ip.
func ParseKey(text string) (RequestKey, error) {
	kind, name, named := strings.Cut(text, ":")
	switch {
	case text == "":
		return RequestKey{Kind: KeyIP}, nil
	case !named && (kind == KeyIP || kind == KeyPath || kind == KeyHost):
		return RequestKey{Kind: kind}, nil
	case named && name != "" && (kind == KeyHeader || kind == KeyCookie || kind == KeyQuery):
		return RequestKey{Kind: kind, Name: name}, nil
	}
	return RequestKey{}, fmt.Errorf("cannot pick by the key %q: ip, path, host, header:NAME, cookie:NAME or query:NAME is expected", text)
}

package load

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/tinehq/tine/ipc/members"
)

// Path is where a Tine answers with a Document.
const Path = "/v1/load"

// Version is that of the document. A reader takes every version up to its own.
const Version = 1

// Document is what a server says of itself.
type Document struct {
	Version  int    `json:"version"`
	Epoch    uint64 `json:"epoch"`    // of the server: another number after each start of it
	Sequence uint64 `json:"sequence"` // grows by each answer
	// HoldMS is how long the server has waited before it answered, in milliseconds: it is no part of the round trip.
	HoldMS float64                        `json:"hold_ms,omitempty"`
	Stats  map[members.Stat]members.Value `json:"stats"`
}

// Decode reads a Document, and checks it. Fields that are not known are passed over.
func Decode(b []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return Document{}, fmt.Errorf("cannot read a load report: %w", err)
	}
	if d.Version < 1 || d.Version > Version {
		return Document{}, fmt.Errorf("cannot read a load report: it has version %d, and 1 to %d is expected", d.Version, Version)
	}
	if math.IsNaN(d.HoldMS) || d.HoldMS < 0 {
		return Document{}, fmt.Errorf("cannot read a load report: hold_ms is %v, and 0 or more is expected", d.HoldMS)
	}
	return d, nil
}

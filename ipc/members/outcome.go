package members

import (
	"encoding/json"
	"fmt"
	"strings"
)

// OutcomesTopic is the topic of the message by which a gateway's worker tells its master how requests to members went.
const OutcomesTopic = "tine.gate.outcomes"

const (
	// MostOutcomes bounds the members of one message, and MostWhy the length of Outcome.Why in bytes.
	MostOutcomes, MostWhy = 1000, 200
	// MostFailed bounds Outcome.Failed: more says no more.
	MostFailed = 1 << 20
	// MostID bounds the length of an ID in a message, in bytes.
	MostID = 1024
)

// Outcome is how requests to one member went since the last time that the same worker told it.
type Outcome struct {
	ID       string `json:"id"`
	Answered bool   `json:"answered,omitempty"` // at least one was answered, and
	Failed   int    `json:"failed,omitempty"`   // so many have failed since, in a row
	Why      string `json:"why,omitempty"`      // the newest has failed
}

// EncodeOutcomes writes a message for DecodeOutcomes. What is longer than its bound is cut.
func EncodeOutcomes(all []Outcome) ([]byte, error) {
	cut := make([]Outcome, 0, min(len(all), MostOutcomes))
	for _, o := range all[:min(len(all), MostOutcomes)] {
		o.Failed = min(o.Failed, MostFailed)
		o.Why = strings.ToValidUTF8(o.Why[:min(len(o.Why), MostWhy)], "")
		cut = append(cut, o)
	}
	b, err := json.Marshal(cut)
	if err != nil {
		return nil, fmt.Errorf("cannot encode how requests went: %w", err)
	}
	return b, nil
}

// DecodeOutcomes reads a message of a worker, which may be anything, and checks that it is within the bounds. Whether there are such
// members it does not know.
func DecodeOutcomes(b []byte) ([]Outcome, error) {
	var all []Outcome
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("cannot read how requests went: %w", err)
	}
	if len(all) > MostOutcomes {
		return nil, fmt.Errorf("cannot read how requests went: there are %d members, and at most %d are expected", len(all), MostOutcomes)
	}
	for _, o := range all {
		if o.ID == "" || len(o.ID) > MostID || o.Failed < 0 || o.Failed > MostFailed || len(o.Why) > MostWhy {
			return nil, fmt.Errorf("cannot read how requests went: what is said of member %.40q is out of bounds", o.ID)
		}
	}
	return all, nil
}

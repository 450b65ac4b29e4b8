package api

import (
	"time"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/ipc/tallies"
)

// Pause is the time in which gateways hold the requests to an app.
type Pause struct {
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"` // absent: until a resume
	Reason string     `json:"reason,omitempty"`
}

// DecisionQuery says which decisions of gateways are wanted.
type DecisionQuery struct {
	App  string // "": of all gateways
	ID   string // X-Request-Id; "": of all requests
	Last int    // the newest so many, 1 to MostDecisions; 0: DefaultDecisions
}

// The bounds of DecisionQuery.Last.
const (
	DefaultDecisions = 20
	MostDecisions    = 1000
)

// Decisions is what the workers of gateways remember of the requests that they delivered.
type Decisions struct {
	Kept      int            `json:"kept"`      // how many requests all workers together remember at most; 0: none remembers any
	Decisions []GateDecision `json:"decisions"` // newest first
	Silent    []SilentWorker `json:"silent"`    // what they remember is missing
}

// GateDecision is one request, and the worker that delivered it.
type GateDecision struct {
	App     string             `json:"app"`
	Slot    int                `json:"slot"`
	Worker  uint64             `json:"worker"`
	Request decisions.Decision `json:"request"`
}

// Gateways is what the workers of gateways know of their members, pools and requests.
type Gateways struct {
	Gateways []Gateway      `json:"gateways"` // in the order of the config
	Silent   []SilentWorker `json:"silent"`   // what they know now is missing; what they had counted is not
}

// Gateway is what all workers of one gateway know together.
type Gateway struct {
	App     string        `json:"app"`
	Workers int           `json:"workers"` // that have answered; 0: the members are those of the master's table
	Tally   tallies.Tally `json:"tally"`
}

// SilentWorker is a worker of a gateway that did not answer.
type SilentWorker struct {
	App    string `json:"app"`
	Slot   int    `json:"slot"`
	Worker uint64 `json:"worker"`
	Why    string `json:"why"`
}

// MaxPause bounds Order.ForMS.
const MaxPause = 30 * 24 * time.Hour

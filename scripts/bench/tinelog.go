//go:build linux

package main

import (
	"encoding/json"
	"sync"
)

// event is a line of Tine's log, as far as it is needed here.
type event struct {
	Message    string  `json:"message"`
	State      string  `json:"state"`
	PID        int     `json:"pid"`
	Generation uint64  `json:"generation"`
	TookMS     float64 `json:"took_ms"`
	Steering   string  `json:"steering"`
}

type tineLog struct {
	mu     sync.Mutex
	events []event
}

// take notes the line, if it is one, and says whether it ends a rollout.
func (l *tineLog) take(line []byte) bool {
	var e event
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return e.Message == "rollout done" || e.Message == "rollout aborted"
}

// since returns a copy of the events from index n on.
func (l *tineLog) since(n int) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]event(nil), l.events[n:]...)
}

func (l *tineLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

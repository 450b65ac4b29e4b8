package master

import (
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestRefusedValue: a worker is told that it cannot set a value, and keeps its channel.
func TestRefusedValue(t *testing.T) {
	s := newStage(t)
	s.publish(s.m, ipc.Set{ID: 1, Key: "", Payload: encoded(t, "v")})
	if !s.m.Open() || s.values.Len() != 0 {
		t.Errorf("it is set, or the refusal ended the channel: %s", s.said())
	}
}

package crew

import (
	"testing"

	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/slots"
)

// unchanged fails when the record is to have something of an app.
type unchanged struct {
	noEstate
	t *testing.T
}

func (u unchanged) Touched(*App) { u.t.Error("a look has the record written") }

// TestALookIsNotRecorded: the addresses of each app are looked at each second, and the record has nothing of what is seen. So the next
// write costs no more, however many apps there are.
func TestALookIsNotRecorded(t *testing.T) {
	s := newStage(t)
	set, err := listen.Open(nil, 1, s.app.Config.SteeringOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s.app.Sockets, s.estate = NewSockets(set), unchanged{t: t}
	looked{s.app.Sockets, slots.Looked{}}.Act(s.Crew)
}

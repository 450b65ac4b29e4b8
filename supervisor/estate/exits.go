package estate

import (
	"os"
	"time"

	"github.com/tinehq/tine/supervisor/succession"
)

// leaveExits notes in the record how those have ended that did so while this master was letting go,
// before their processes were left to the next one. That their end is known is on its way to the
// loop, which stands still: so the next master judges it, or this one if it takes all back.
func (e *Estate) leaveExits(files map[string][]*os.File, until time.Time) {
	any := false
	for m := range e.workers() {
		end, ended := m.Ended(until)
		if !ended {
			continue
		}
		m.Unjudged, any = succession.SaveExit(end.Exit, end.Left), true
		name := succession.WorkerName(m.App.Key, m.ID)
		closeFiles(files[name])
		delete(files, name)
	}
	if any {
		e.SaveAll()
	}
}

package master

import (
	"os"
	"time"

	"github.com/tinehq/tine/supervisor/succession"
)

// leaveExits notes in the record how those have ended that did so while this master was letting go,
// before their processes were left to the next one. That their end is known is on its way to the
// loop, which stands still: so the next master judges it, or this one if it takes all back.
func (l *loop) leaveExits(files map[string][]*os.File) {
	until, any := time.Now().Add(lastOutput), false
	for m := range l.allMembers() {
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
		l.saveState()
	}
}

package supervisor

import (
	"os"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/proc"
)

// savedExit is how a worker has ended that the master which saw it could not judge any more, as it
// was handing over: the next one does.
type savedExit struct {
	Code    int            `json:"code"`
	Signal  syscall.Signal `json:"signal,omitempty"`
	Unknown bool           `json:"unknown,omitempty"`
	Left    bool           `json:"left,omitempty"`  // it ended on purpose: ipc.Lifeline.Left
	Line    string         `json:"line,omitempty"`  // proc.Exit.LastLine
	Lines   string         `json:"lines,omitempty"` // proc.Exit.LastLines
}

func saveExit(e proc.Exit) *savedExit {
	return &savedExit{Code: e.Code, Signal: e.Signal, Unknown: e.Unknown, Line: e.LastLine, Lines: e.LastLines}
}

func (e *savedExit) restored() proc.Exit {
	return proc.Exit{Code: e.Code, Signal: e.Signal, Unknown: e.Unknown, LastLine: e.Line, LastLines: e.Lines}
}

// leaveExits notes in the record how those have ended that did so while this master was letting go,
// before their processes were left to the next one. That their end is known is on its way to the
// loop, which stands still: so the next master judges it, or this one if it takes all back.
func (l *loop) leaveExits(files map[string][]*os.File) {
	until, any := time.Now().Add(lastOutput), false
	for m := range l.allMembers() {
		if m.lifeline != nil && m.quit == nil { // it has been reaped, and that is known in a moment
			within(m.proc.Exited(), time.Until(until))
		}
		select {
		case <-m.proc.Exited():
		default:
			continue
		}
		within(m.proc.OutputDone(), time.Until(until))
		exit := m.proc.Exit()
		m.unjudged, any = saveExit(exit), true
		m.unjudged.Left = m.lifeline != nil && m.lifeline.Left()
		name := workerName(m.app.key, m.id)
		closeFiles(files[name])
		delete(files, name)
	}
	if any {
		l.saveState()
	}
}

package master

import (
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// A master that is killed between the start of a worker and the next record leaves a
// process that was ordered, was stored, and is in no record: a stray. Its store entry keeps
// its lifeline open, so that it would live for ever and belong to nobody.

// strays are those workers that saved has as ordered only, and that exist.
func (l *loop) strays(saved succession.App) (found []succession.Member) {
	slots := append(slices.Clone(saved.Pool.Slots), saved.Pool.Standbys)
	for i, s := range slots {
		for _, w := range s.Workers {
			files := l.s.inherited[succession.WorkerName(saved.Key, w.ID)]
			if w.PID != 0 || len(files) != handle.FilesOfWorker {
				continue
			}
			pid := proc.PIDOf(files[1])
			if pid == 0 {
				continue // it has ended
			}
			m := succession.Member{ID: w.ID, PID: pid, Slot: i, Seat: -1, Generation: w.Generation}
			if i == len(saved.Pool.Slots) {
				m.Slot = -1
			}
			found = append(found, m)
		}
	}
	return found
}

// endStrays lets go of all that is stored for workers that nobody has adopted: with their
// lifelines closed they end.
func (l *loop) endStrays() {
	if l.rescued != nil {
		return // which knows them, and ends them
	}
	adopted := map[string]bool{}
	for m := range l.allMembers() {
		adopted[succession.WorkerName(m.App.Key, m.ID)] = true
	}
	for name, files := range l.s.inherited {
		if !strings.HasPrefix(name, succession.WorkerPrefix) || adopted[name] {
			continue
		}
		estate.CloseFiles(files)
		delete(l.s.inherited, name)
		l.estate.Remove(name)
	}
}

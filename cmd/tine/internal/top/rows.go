package top

import (
	"fmt"
	"strings"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control"
)

// row is one line of the list: an app, or one of its workers.
type row struct {
	app    control.App
	worker *control.Worker // nil: the row is the app's
}

// slot is that of a worker that has one.
func (r row) slot() *int {
	if r.worker == nil || r.worker.Slot < 0 {
		return nil
	}
	n := r.worker.Slot
	return &n
}

// name is as the other verbs have it: web, web/2, web/standby.
func (r row) name() string {
	if r.worker == nil {
		return r.app.Name
	}
	return term.Where(r.app.Name, &r.worker.Slot)
}

func (r row) key() slotKey {
	if r.worker == nil {
		return slotKey{r.app.Name, wholeApp}
	}
	return slotKey{r.app.Name, r.worker.Slot}
}

// same says whether two rows of different documents mean the same worker or app.
func (r row) same(other row) bool {
	if r.key() != other.key() {
		return false
	}
	return r.worker == nil || r.worker.ID == other.worker.ID
}

// matches says whether a filter, in lower case, finds the row.
func (r row) matches(filter string) bool {
	text := r.name()
	if r.worker != nil {
		text += fmt.Sprintf(" %d %s %s", r.worker.PID, r.worker.State, r.worker.Stalled)
	} else {
		text += " " + r.app.Namespace + " " + r.app.State
	}
	return strings.Contains(strings.ToLower(text), filter)
}

// rowsOf are the rows of the apps that a filter leaves: all workers of an app that it
// finds, else those that it finds under their app's row.
func rowsOf(apps []control.App, filter string) (rows []row) {
	filter = strings.ToLower(filter)
	for _, a := range apps {
		head := row{app: a}
		whole := filter == "" || head.matches(filter)
		var found []row
		for _, list := range [][]control.Worker{a.Workers, a.Standbys} {
			for i := range list {
				if row := (row{a, &list[i]}); whole || row.matches(filter) {
					found = append(found, row)
				}
			}
		}
		if whole || len(found) > 0 {
			rows = append(append(rows, head), found...)
		}
	}
	return rows
}

// sums are what the row of an app tells of its workers.
type sums struct {
	restarts, busy, connections int
	cpu                         float64
	rss                         int64
	p50, p99                    float64 // of the slowest worker: percentiles have no sum
}

func sumsOf(a control.App) (s sums) {
	for _, list := range [][]control.Worker{a.Workers, a.Standbys} {
		for _, w := range list {
			s.busy += w.InFlight
			s.connections += w.Connections
			s.cpu += w.CPUPercent
			s.rss += w.RSSBytes
			s.p50, s.p99 = max(s.p50, w.P50MS), max(s.p99, w.P99MS)
		}
	}
	s.restarts = int(a.RestartsTotal)
	return s
}

// restore finds the row that was chosen in a new list: the same worker, else what has
// its slot now, else its app, else what stands at its place.
func restore(rows []row, was row, at int) int {
	slot, app := -1, -1
	for i, r := range rows {
		switch {
		case r.same(was):
			return i
		case slot < 0 && r.key() == was.key():
			slot = i
		case app < 0 && r.app.Name == was.app.Name:
			app = i
		}
	}
	switch {
	case slot >= 0:
		return slot
	case app >= 0:
		return app
	}
	return max(0, min(at, len(rows)-1))
}

package top

import (
	"fmt"
	"strings"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/control/api"
)

// row is one line of the list: an app, or one of its workers.
type row struct {
	app    api.App
	worker *api.Worker // nil: the row is the app's
}

// slot returns the slot of a worker; nil for an app and a standby.
func (r row) slot() *int {
	if r.worker == nil || r.worker.Slot < 0 {
		return nil
	}
	n := r.worker.Slot
	return &n
}

// name returns the name that other commands print: web, web/2, web/standby.
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

// same reports whether two rows of different documents are the same worker or app.
func (r row) same(other row) bool {
	if r.key() != other.key() {
		return false
	}
	return r.worker == nil || r.worker.ID == other.worker.ID
}

// matches reports whether a filter, in lower case, finds the row.
func (r row) matches(filter string) bool {
	text := r.name()
	if r.worker != nil {
		text += fmt.Sprintf(" %d %s %s", r.worker.PID, r.worker.State, r.worker.Stalled)
	} else {
		text += " " + r.app.Namespace + " " + r.app.State
	}
	return strings.Contains(strings.ToLower(text), filter)
}

// rowsOf returns the rows that a filter leaves: of an app that it finds all workers, else the workers that it finds, below the
// row of their app.
func rowsOf(apps []api.App, filter string) (rows []row) {
	filter = strings.ToLower(filter)
	for _, a := range apps {
		head := row{app: a}
		whole := filter == "" || head.matches(filter)
		var found []row
		for _, list := range [][]api.Worker{a.Workers, a.Standbys} {
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

// sums are the figures of a worker, or of all workers of an app together.
type sums struct {
	restarts, busy, connections int
	cpu                         float64
	rss                         int64
	p50, p99                    float64 // of the slowest worker, as percentiles cannot be added
}

func sumsOf(a api.App) (s sums) {
	for _, list := range [][]api.Worker{a.Workers, a.Standbys} {
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

// restore returns the index of the row to choose in a new list: the same worker, else the worker in its slot, else its app,
// else the row at the same index.
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

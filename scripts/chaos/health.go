package main

import (
	"fmt"
	"slices"
	"time"
)

// health is what the processes of a run use.
type health struct {
	keeper, master usage
	workers        []int // descriptors of each, ascending
}

// usage is what one process uses.
type usage struct {
	pid            int
	files, threads int
	rss            int    // KiB
	kinds          string // of the files
}

// atRest samples for half a second and takes the least of each: now and then the master
// runs a source of a value.
func (m *master) atRest() (least health, err error) {
	for i := range 25 {
		var h health
		masters := m.masters()
		if len(masters) != 1 {
			return h, fmt.Errorf("there are the masters %v, want one", masters)
		}
		if h.keeper, err = readUsage(m.keeper()); err == nil {
			h.master, err = readUsage(masters[0])
		}
		if err != nil {
			return h, fmt.Errorf("cannot read how keeper and master are: %w", err)
		}
		for _, pid := range m.workers() {
			h.workers = append(h.workers, openFiles(pid))
		}
		slices.Sort(h.workers)
		if i == 0 {
			least = h
		}
		least.keeper.least(h.keeper)
		least.master.least(h.master)
		for n := range min(len(h.workers), len(least.workers)) {
			least.workers[n] = min(least.workers[n], h.workers[n])
		}
		time.Sleep(20 * time.Millisecond)
	}
	least.keeper.kinds, least.master.kinds = openFilesBy(least.keeper.pid)+"; kept: "+keptNames(least.master.pid), openFilesBy(least.master.pid)
	return least, nil
}

func (u *usage) least(o usage) {
	u.files, u.threads, u.rss = min(u.files, o.files), min(u.threads, o.threads), min(u.rss, o.rss)
}

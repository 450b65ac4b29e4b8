package main

import (
	"fmt"
	"time"
)

// health is what the master uses.
type health struct {
	files, threads int
	rss            int // KiB
}

// atRest samples for half a second and takes the least of each: now and then a source
// is being asked.
func (m *master) atRest() (least health, err error) {
	for i := range 25 {
		h, err := readHealth(m.cmd.Process.Pid)
		if err != nil {
			return h, fmt.Errorf("cannot read how the master is: %w", err)
		}
		if i == 0 {
			least = h
		}
		least.files = min(least.files, h.files)
		least.threads = min(least.threads, h.threads)
		least.rss = min(least.rss, h.rss)
		time.Sleep(20 * time.Millisecond)
	}
	return least, nil
}

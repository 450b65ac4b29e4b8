//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// rest leaves a master with eight workers alone.
func (b *bench) rest() error {
	s, err := b.serve(b.tine(8), 8)
	if err != nil {
		return err
	}
	defer s.p.stop()
	if err := b.sleep(3 * time.Second); err != nil {
		return err
	}
	span := time.Duration(b.times(20, 5)) * time.Second
	before := procfs.CPUTime(s.master())
	if err := b.sleep(span); err != nil {
		return err
	}
	used := procfs.CPUTime(s.master()) - before
	in20 := time.Duration(float64(used) * 20 / span.Seconds())
	size := float64(procfs.RSS(s.master())) / (1 << 20)
	b.table.add("memory of the master with 8 workers", "< 20 MB", fmt.Sprintf("%.1f MB", size), verdictOf(size < 20))
	b.table.add("its CPU time in 20 s", "< 5 ms", fmt.Sprintf("%.2f ms", float64(in20)/1e6), verdictOf(in20 < 5*time.Millisecond))
	return nil
}

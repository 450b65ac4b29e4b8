//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"os"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// keeper leaves a keeper alone that has brought a master back, and weighs the binary, which b.build has built as make build
// does: CGO_ENABLED=0, -trimpath, -s -w.
func (b *bench) keeper() error {
	k, err := b.startKept()
	if err != nil {
		return err
	}
	defer k.end()
	old, _, err := crashed(k)
	if err != nil {
		return err
	}
	if _, err := k.inCharge(old); err != nil {
		return err
	}
	if err := b.sleep(3 * time.Second); err != nil {
		return err
	}
	mb := func(n int64) float64 { return float64(n) / (1 << 20) }
	size := mb(procfs.RSS(k.keeper))
	b.table.add("resident memory of the keeper at rest (RSS)", "< 6 MB", fmt.Sprintf("%.1f MB; %.1f MB Pss, %.1f MB anonymous", size,
		mb(procfs.Memory(k.keeper, "Pss")), mb(procfs.Memory(k.keeper, "Anonymous"))), verdictOf(size < 6))
	span := time.Duration(b.times(10, 3)) * time.Second
	before, used := procfs.Ticks(k.keeper), procfs.CPUTime(k.keeper)
	if err := b.sleep(span); err != nil {
		return err
	}
	n := procfs.Ticks(k.keeper) - before
	b.table.add(fmt.Sprintf("its CPU ticks in %v", span), "0", fmt.Sprintf("%d (%.3f ms)", n, float64(procfs.CPUTime(k.keeper)-used)/1e6), verdictOf(n == 0))

	file, err := os.Stat(b.bin("tine"))
	if err != nil {
		return err
	}
	static, err := isStatic(b.bin("tine"))
	if err != nil {
		return err
	}
	b.table.add("static binary", "< 25 MB", fmt.Sprintf("%.1f MB, static: %v", mb(file.Size()), static), verdictOf(static && mb(file.Size()) < 25))
	return nil
}

// isStatic says whether a program needs no dynamic loader.
func isStatic(path string) (bool, error) {
	f, err := elf.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	return true, nil
}

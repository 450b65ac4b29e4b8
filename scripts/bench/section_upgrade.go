//go:build linux

package main

import (
	"fmt"
	"time"
)

const upgradeOf = "upgrades"

// upgrade has Tine replaced by itself again and again while clients ask, and then at rest.
func (b *bench) upgrade() error {
	k, err := b.startKept()
	if err != nil {
		return err
	}
	err = b.survive(k, upgradeOf, b.times(20, 3), upgraded, 300*time.Millisecond)
	if err == nil {
		err = b.upgradeAtRest(k)
	}
	k.end()
	if err != nil {
		return err
	}
	if err := b.countLines(k, upgradeOf, false); err != nil {
		return err
	}
	b.has("nginx", "binary upgrade of nginx (USR2, WINCH, QUIT)")
	return nil
}

func (b *bench) upgradeAtRest(k *kept) error {
	n := b.times(50, 5)
	before, err := k.usage()
	if err != nil {
		return err
	}
	var took []time.Duration
	for range n {
		old, began, err := upgraded(k)
		if err != nil {
			return err
		}
		if _, err := k.inCharge(old); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	if err := b.sleep(2 * time.Second); err != nil {
		return err
	}
	after, err := k.usage()
	if err != nil {
		return err
	}
	ok := after.master <= before.master && after.keeper <= before.keeper
	b.table.add(fmt.Sprintf("%d upgrades in a row, no load: descriptors", n), "no more", fmt.Sprintf("keeper %d to %d, master %d to %d; %s each", before.keeper,
		after.keeper, before.master, after.master, ms(median(took))), verdictOf(ok))
	return nil
}

//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const rollClients = 32

// rolls restarts all workers again and again while clients ask. Tine promises that no request fails; what the same load
// costs with the others is beside it.
func (b *bench) rolls() error {
	n := b.times(20, 3)
	var all []load
	for _, keep := range []bool{false, true} {
		for _, rate := range []int{0, 1000} {
			for _, post := range []bool{false, true} {
				all = append(all, load{clients: rollClients, keep: keep, rate: rate, post: post})
			}
		}
	}
	if err := b.rollPeer(b.tine(4), n, all, true); err != nil {
		return err
	}
	few := []load{{clients: rollClients, keep: true, post: true}, {clients: rollClients, keep: true, rate: 1000}, {clients: rollClients}}
	m := b.times(10, 3)
	if err := b.rollPeer(b.prefork(4, runtimeOf{procs: max(1, runtime.NumCPU()/4)}), m, few, false); err != nil {
		return err
	}
	if b.has("node", "the same with Node cluster") {
		return b.rollPeer(b.node(4), m, few, false)
	}
	return nil
}

func (b *bench) rollPeer(c command, n int, loads []load, promised bool) error {
	s, err := b.serve(c, 4)
	if err != nil {
		return err
	}
	defer s.p.stop()
	for _, l := range loads {
		r := l.begin(s.addr, 5*time.Minute)
		var took []time.Duration
		err := b.sleep(300 * time.Millisecond)
		for i := 0; i < n && err == nil; i++ {
			var d time.Duration
			if d, err = s.roll(); err == nil {
				took = append(took, d)
				err = b.ctx.Err()
			}
		}
		t := r.end()
		if err != nil {
			return err
		}
		for _, e := range t.examples {
			fmt.Fprintf(os.Stderr, "bench: %s, %s: failed: %s\n", s.name, l, e)
		}
		figure := fmt.Sprintf("%s, %d rolls of 4: %s", s.name, n, l)
		measured := fmt.Sprintf("%d failed (%d resets) of %d; roll %s, p99 %s", t.failed, t.resets, t.requests, ms(median(took)), ms(quantile(t.times, 0.99)))
		if !promised {
			b.table.add(figure, "", measured, info)
			continue
		}
		b.lost += t.failed
		b.table.add(figure, "0 failed", measured, verdictOf(t.failed == 0))
	}
	return nil
}

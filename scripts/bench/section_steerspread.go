//go:build linux

package main

import (
	"fmt"
	"time"
)

const spreadWorkers = 8

// spread counts how many connections each of eight workers gets under an even load.
func (b *bench) spread() error {
	ways := []struct{ kind, policy string }{{"ebpf", "least"}, {"ebpf", "round-robin"}, {"cbpf", "least"}, {"hash", "hash"}}
	var names []string
	peers, counts := map[string]*peer{}, map[string]map[int]int{}
	for _, w := range ways {
		c := b.waiter(w.kind, w.policy, spreadWorkers, steerHandler)
		s, err := b.steered(w.kind, c, spreadWorkers)
		if err != nil {
			return err
		}
		if s == nil {
			continue
		}
		defer s.p.stop()
		names, peers[c.name], counts[c.name] = append(names, c.name), s, map[int]int{}
	}
	span := time.Duration(b.times(2500, 1500)) * time.Millisecond
	for round := range 2 {
		for _, name := range turns(names, round) {
			v, err := openLoop{steerRate, span, uint64(round)}.run(b.ctx, peers[name].addr)
			if err != nil {
				return err
			}
			b.keep(name, v)
			for i := range v.shots {
				if pid := v.shots[i].pid; pid > 0 {
					counts[name][pid]++
				}
			}
		}
	}
	for _, name := range names {
		var each []int
		sum := 0
		for _, n := range counts[name] {
			each, sum = append(each, n), sum+n
		}
		for len(each) < spreadWorkers {
			each = append(each, 0)
		}
		target, v := "", info
		of := spreadOf(each)
		if name == "ebpf, least" || name == "ebpf, round-robin" {
			target, v = "< 2 %", verdictOf(of < 0.02 && len(each) == spreadWorkers)
		}
		b.table.add(fmt.Sprintf("connections of %d workers, SD / mean: %s", spreadWorkers, name), target,
			fmt.Sprintf("%.2f %% (%d connections)", 100*of, sum), v)
	}
	return nil
}

//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

// steercost measures what steering costs: connections at saturation, the program in the kernel, the master.
func (b *bench) steercost() error {
	peers, stop, err := b.waiters("least", 4, 0)
	if err != nil {
		return err
	}
	defer stop()
	if err := b.steerRates(peers); err != nil {
		return err
	}
	if err := b.steerMaster(peers); err != nil {
		return err
	}
	return b.steerProgram()
}

// steerRates compares each turn with hash's of the same round: what else the machine does changes from round to round.
func (b *bench) steerRates(peers map[string]*peer) error {
	wrk := b.has("wrk", "its load; the bench's own clients instead, which cost more")
	rates := map[string][]float64{}
	for round := range b.times(12, 3) {
		for _, kind := range turns(kinds, round) {
			if peers[kind] == nil {
				continue
			}
			rate, err := b.rate(peers[kind], false, wrk, 1)
			if err != nil {
				return err
			}
			rates[kind] = append(rates[kind], rate)
		}
	}
	for _, kind := range kinds {
		if peers[kind] == nil || kind == "hash" {
			continue
		}
		var ratios []float64
		for i, r := range rates[kind] {
			ratios = append(ratios, r/rates["hash"][i])
		}
		ratio := median(ratios)
		b.table.add("connections/s of 4 workers, "+kind+" to hash", ">= 0.97x", fmt.Sprintf("%.2fx (%.0f/s to %.0f/s; quartiles %.2fx, %.2fx)", ratio,
			median(rates[kind]), median(rates["hash"]), quantile(ratios, 0.25), quantile(ratios, 0.75)), verdictOf(ratio >= 0.97))
	}
	return nil
}

// steerMaster takes the master's CPU time at a steady load.
func (b *bench) steerMaster(peers map[string]*peer) error {
	span := time.Duration(b.times(5, 2)) * time.Second
	used, over := map[string]time.Duration{}, map[string]time.Duration{}
	for round := range b.times(2, 1) {
		for _, kind := range turns(kinds, round) {
			s := peers[kind]
			if s == nil {
				continue
			}
			before, began := procfs.CPUTime(s.master()), time.Now()
			v, err := openLoop{1000, span, uint64(round)}.run(b.ctx, s.addr)
			if err != nil {
				return err
			}
			used[kind] += procfs.CPUTime(s.master()) - before
			over[kind] += time.Since(began)
			b.keep(s.name, v)
		}
	}
	share := func(kind string) float64 { return 100 * used[kind].Seconds() / over[kind].Seconds() }
	const figure = "master's CPU at 1,000 connections/s: "
	b.table.add(figure+"hash", "", fmt.Sprintf("%.2f %% of a core", share("hash")), info)
	if peers["cbpf"] != nil {
		b.table.add(figure+"cbpf", "< 1 %", fmt.Sprintf("%.2f %% of a core", share("cbpf")), verdictOf(share("cbpf") < 1))
	}
	if peers["ebpf"] != nil {
		// One or two wakeups that the load of the machine made longer do not count as a difference.
		extra := share("ebpf") - share("hash")
		b.table.add(figure+"ebpf", "hash + 0.1 %", fmt.Sprintf("%.2f %% of a core", share("ebpf")), verdictOf(extra < 0.1))
	}
	return nil
}

// perPick is what the benchmark of the program in the kernel prints beside its own time: BPF's own statistics.
var perPick = regexp.MustCompile(`([0-9.]+) ns/pick`)

// steerProgram runs the benchmark that is in the package's tests.
func (b *bench) steerProgram() error {
	found, err := b.goBench("./supervisor/listen", "^BenchmarkEBPFProgram$/^(least|round-robin)$/^(4|256)$")
	if err != nil {
		return err
	}
	for _, m := range found {
		pick, at := perPick.FindStringSubmatch(m[3]), strings.Split(m[1], "/")
		if pick == nil || len(at) != 3 {
			continue
		}
		policy, slots := at[1], at[2]
		ns, _ := strconv.ParseFloat(pick[1], 64)
		limit := map[string]float64{"4": 500, "256": 2000}[slots]
		if limit == 0 {
			continue
		}
		b.table.add(fmt.Sprintf("program in the kernel, %s, %s slots", policy, slots), fmt.Sprintf("< %.1f us", limit/1000),
			fmt.Sprintf("%.2f us a connection", ns/1000), verdictOf(ns < limit))
	}
	return nil
}

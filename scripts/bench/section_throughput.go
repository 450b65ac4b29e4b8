//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// throughput has every peer answer the same two loads in turns. The prefork by hand is there several times: with the
// settings that Tine gives its workers, which shows what Tine itself costs, as one would write it first, and with each
// worker kept on one CPU.
func (b *bench) throughput() error {
	n := runtime.NumCPU()
	t, err := b.serve(b.tine(0), n)
	if err != nil {
		return err
	}
	defer t.p.stop()
	same, naive := t.settings(), runtimeOf{procs: 1}
	b.table.add(fmt.Sprintf("tine gives each of its %d workers", n), "", same.String(), info)
	peers := []*peer{t}
	others := []command{renamed(b.prefork(n, same), "prefork by hand, same settings"), b.single()}
	if same != naive {
		others = append(others, renamed(b.prefork(n, naive), "prefork by hand, GOMAXPROCS=1"))
	}
	if pinned := (runtimeOf{procs: 1, pinned: true}); same != pinned {
		others = append(others, renamed(b.prefork(n, pinned), "prefork by hand, pinned"))
	}
	if b.has("node", "throughput of Node cluster") {
		others = append(others, b.node(n))
	}
	if b.has("nginx", "throughput of nginx") {
		others = append(others, b.nginx(n))
	}
	for _, c := range others {
		s, err := b.serve(c, 1)
		if err != nil {
			return err
		}
		defer s.p.stop()
		peers = append(peers, s)
	}
	wrk := b.has("wrk", "its load; the bench's own clients instead, which cost more")
	for _, keep := range []bool{true, false} {
		rates := map[*peer][]float64{}
		turns := slices.Clone(peers)
		for range b.times(7, 2) {
			for _, s := range turns {
				rate, err := b.rate(s, keep, wrk, b.times(2, 1))
				if err != nil {
					return err
				}
				rates[s] = append(rates[s], rate)
			}
			slices.Reverse(turns)
		}
		b.compare(peers, rates, keep)
	}
	return nil
}

func renamed(c command, name string) command {
	c.name = name
	return c
}

func (b *bench) compare(peers []*peer, rates map[*peer][]float64, keep bool) {
	mode := "connection a request"
	if keep {
		mode = "kept alive"
	}
	of := median(rates[peers[0]])
	b.table.add("tine, "+mode, "", fmt.Sprintf("%.0f/s", of), info)
	for _, s := range peers[1:] {
		ratio := of / median(rates[s])
		target, v := "", info
		switch s.name {
		case "prefork by hand, same settings":
			target, v = ">= 0.98x", verdictOf(ratio >= 0.98)
		case "one process":
			target, v = ">= 1.0x", verdictOf(ratio >= 1)
		case "prefork by hand, GOMAXPROCS=1":
			target, v = ">= 0.98x", verdictOf(ratio >= 0.98)
		}
		b.table.add(fmt.Sprintf("tine to %s, %s", s.name, mode), target, fmt.Sprintf("%.2fx (%.0f/s)", ratio, median(rates[s])), v)
	}
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)

// rate is requests per second of 64 connections.
func (b *bench) rate(s *peer, keep, wrk bool, seconds int) (float64, error) {
	if !wrk {
		r := load{clients: 64, keep: keep}.begin(s.addr, time.Duration(seconds)*time.Second)
		err := b.sleep(time.Duration(seconds) * time.Second)
		t := r.end()
		return float64(t.requests-t.failed) / t.took.Seconds(), err
	}
	var more []string
	if !keep {
		more = []string{"-H", "Connection: close"}
	}
	return b.rateOf(s, 64, seconds, more...)
}

// rateOf is requests per second of some connections of wrk.
func (b *bench) rateOf(s *peer, connections, seconds int, more ...string) (float64, error) {
	args := append([]string{"-t2", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds)}, more...)
	out, err := exec.CommandContext(b.ctx, "wrk", append(args, "http://"+s.addr+"/")...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk against %s: %w\n%s", s.name, err, out)
	}
	m := wrkRate.FindSubmatch(out)
	if m == nil || strings.Contains(string(out), "Non-2xx") {
		return 0, fmt.Errorf("wrk against %s:\n%s", s.name, out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

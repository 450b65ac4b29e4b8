//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	steerRate    = 1200 // connections a second
	steerHandler = 3 * time.Millisecond
	slow         = 50 * time.Millisecond // a request above it was held up by the stuck worker
)

// byHand is the kernel's hash alone: the prefork by hand. Tine with hash knows a little more, and is not what one has without.
const byHand = "hash alone"

// steer measures what a client sees while one of four workers is stuck half of each second, with each kind of steering.
func (b *bench) steer() error {
	peers, stop, err := b.waiters("least", 4, steerHandler)
	if err != nil {
		return err
	}
	defer stop()
	alone, err := b.serve(b.preforkWaiting(4, peers["hash"].settings(), steerHandler), 4)
	if err != nil {
		return err
	}
	peers[byHand] = alone
	order := append([]string{byHand}, kinds...)
	rounds := b.times(2, 1)
	span := time.Duration(b.times(5, 3)) * time.Second
	var late []time.Duration
	for _, how := range []sticking{stopping, blocking} {
		times := map[string][]time.Duration{}
		for round := range rounds {
			for _, kind := range turns(order, round) {
				if peers[kind] == nil {
					continue
				}
				v, err := b.stuck(peers[kind], how, openLoop{steerRate, span, uint64(round)})
				if err != nil {
					return err
				}
				times[kind] = append(times[kind], v.times()...)
				late = append(late, v.late()...)
			}
		}
		b.steerRows(how, times)
	}
	p99 := quantile(late, 0.99)
	b.table.add(fmt.Sprintf("the load's own lateness at %d/s, p99", steerRate), "< 5 ms",
		fmt.Sprintf("%s (median %s, worst %s)", ms(p99), ms(median(late)), ms(quantile(late, 1))), verdictOf(p99 < 5*time.Millisecond))
	return nil
}

// stuck makes the load while one worker of s is stuck half of each second.
func (b *bench) stuck(s *peer, how sticking, o openLoop) (*volley, error) {
	pid, err := s.worker()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, o.span)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- how.half(ctx, pid) }()
	v, err := o.run(b.ctx, s.addr)
	cancel()
	if serr := <-ended; err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	b.keep(s.name, v)
	return v, nil
}

func (b *bench) steerRows(how sticking, times map[string][]time.Duration) {
	base := quantile(times[byHand], 0.99)
	for _, kind := range []string{byHand, "hash", "cbpf", "ebpf"} {
		t := times[kind]
		if len(t) == 0 {
			continue
		}
		p99, share := quantile(t, 0.99), over(t, slow)
		ratio := float64(p99) / float64(base)
		what, few, v, w := "", "", info, info
		// What accepts and does not answer, cbpf learns from its scoreboard row only, some time later.
		if kind == "ebpf" || kind == "cbpf" && how == stopping {
			what, v = "<= 1/15 of hash", verdictOf(ratio <= 1.0/15)
			few, w = "<= 0.8 %", verdictOf(share <= 0.008)
		}
		measured := ms(p99)
		if kind != byHand {
			measured = fmt.Sprintf("1/%.1f (%s)", 1/ratio, ms(p99))
		}
		b.table.add(fmt.Sprintf("%s, %s: p99", how.name, kind), what, measured, v)
		b.table.add(fmt.Sprintf("%s, %s: over 50 ms", how.name, kind), few, fmt.Sprintf("%.2f %% of %d", 100*share, len(t)), w)
	}
}

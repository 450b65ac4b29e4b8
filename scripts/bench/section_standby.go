//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// slowStart is how long the slow program needs before it can serve.
const slowStart = 2 * time.Second

// standby ends the only worker with SIGKILL, as kill does, where another waits, initialised, for its slot.
func (b *bench) standby() error {
	n := b.times(24, 6)
	with, err := b.standing("standby: 1", 0, true)
	if err != nil {
		return err
	}
	defer with.p.stop()
	without, err := b.standing("no standby", 0, false)
	if err != nil {
		return err
	}
	defer without.p.stop()
	order := []*killed{with, without}
	if b.has("nginx", "kill -9 to serving of nginx") {
		s, err := b.serve(b.nginx(1), 1)
		if err != nil {
			return err
		}
		defer s.p.stop()
		order = append(order, &killed{peer: s})
	}
	for range n {
		for _, k := range order {
			if err := b.killSettled(k); err != nil {
				return err
			}
		}
		slices.Reverse(order)
	}
	b.healed("kill -9 to serving with standby: 1", with, true)
	b.healed("the same without", without, false)
	for _, k := range order {
		if k.name == "nginx" {
			b.healed("the same of nginx", k, false)
		}
	}

	slow, err := b.standing("standby: 1, slow start", slowStart, true)
	if err != nil {
		return err
	}
	defer slow.p.stop()
	for range b.times(7, 2) {
		if err := b.killSettled(slow); err != nil {
			return err
		}
	}
	b.healed(fmt.Sprintf("with standby: 1, a program that needs %v to start", slowStart), slow, true)
	bare, err := b.standing("no standby, slow start", slowStart, false)
	if err != nil {
		return err
	}
	defer bare.p.stop()
	for range b.times(2, 1) {
		if err := b.killSettled(bare); err != nil {
			return err
		}
	}
	b.healed("the same without", bare, false)
	return nil
}

func (b *bench) healed(figure string, k *killed, promised bool) {
	of := median(k.times)
	measured := fmt.Sprintf("%.2f ms (median of %d, p90 %s; %d refused of %d)", float64(of)/1e6, len(k.times), ms(quantile(k.times, 0.9)), k.refused, k.dials)
	if !promised {
		b.table.add(figure, "", measured, info)
		return
	}
	b.lost += k.refused
	b.table.add(figure, "< 3 ms", measured, verdictOf(of < 3*time.Millisecond && k.refused == 0))
}

// standing runs one worker of the waiter, with a standby or without. Backoff is made to forget at once.
func (b *bench) standing(name string, delay time.Duration, spare bool) (*killed, error) {
	more := []string{"backoff: {reset: 1ms}", fmt.Sprintf("env: {WAITER_START_DELAY: %s}", delay)}
	if spare {
		more = append(more, "standby: 1")
	}
	s, err := b.serve(b.under(name, filepath.Join(b.dir, "waiter"), 1, more...), 1)
	if err != nil {
		return nil, err
	}
	return &killed{peer: s, spare: spare}, nil
}

// killSettled kills when a standby is there to take over: as many workers have initialised as there are processes.
func (b *bench) killSettled(k *killed) error {
	limit := time.Now().Add(15 * time.Second)
	for k.spare && !k.parked() {
		if time.Now().After(limit) {
			return fmt.Errorf("%s has no standby after 15 s:\n%s", k.name, k.p.said())
		}
		if err := b.sleep(5 * time.Millisecond); err != nil {
			return err
		}
	}
	return b.killOnce(k) // which rests before it kills
}

// parked says whether s has two workers and both have said that they are initialised.
func (s *peer) parked() bool {
	pids := s.workers()
	if len(pids) < 2 {
		return false
	}
	said := map[string]bool{}
	for _, e := range s.log.since(0) {
		said[e.Message] = true
	}
	return !slices.ContainsFunc(pids, func(pid int) bool { return !said[fmt.Sprintf("initialised %d", pid)] })
}

//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// start takes the time from starting the program until four processes have answered.
func (b *bench) start() error {
	t, err := b.serve(b.tine(4), 4)
	if err != nil {
		return err
	}
	settings := t.settings()
	err = b.rollOverhead(t)
	t.p.stop()
	if err != nil {
		return err
	}
	turns := []command{b.tine(4), b.prefork(4, settings)}
	times := map[string][]time.Duration{}
	for range b.times(15, 4) {
		for _, c := range turns {
			if err := b.startOnce(c, times); err != nil {
				return err
			}
		}
		slices.Reverse(turns)
	}
	tine, prefork := median(times["tine"]), median(times["prefork by hand"])
	ratio := float64(tine) / float64(prefork)
	b.table.add("start to all 4 workers answering, to prefork by hand", "<= 1.5x",
		fmt.Sprintf("%.2fx (%s to %s)", ratio, ms(tine), ms(prefork)), verdictOf(ratio <= 1.5))
	var others []command
	if b.has("node", "start of Node cluster") {
		others = append(others, b.node(4))
	}
	if b.has("nginx", "start of nginx") {
		others = append(others, b.nginx(4))
	}
	for _, c := range others {
		for range b.times(5, 2) {
			if err := b.startOnce(c, times); err != nil {
				return err
			}
		}
		b.table.add("the same of "+c.name, "", ms(median(times[c.name])), info)
	}
	return nil
}

func (b *bench) startOnce(c command, times map[string][]time.Duration) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	s, err := b.launch(c)
	if err != nil {
		return err
	}
	err = s.answering(4, 20*time.Second)
	times[c.name] = append(times[c.name], time.Since(began))
	s.p.stop()
	return err
}

// rollOverhead is what a rollout takes longer than its workers' own starts and drains, for each slot.
func (b *bench) rollOverhead(t *peer) error {
	var overhead, whole []float64
	for range b.times(10, 3) {
		from := t.log.len()
		if _, err := t.roll(); err != nil {
			return err
		}
		own, took := 0.0, 0.0
		for _, e := range t.log.since(from) {
			switch {
			case e.Message == "ready" || e.Message == "exited" && e.State == "draining":
				own += e.TookMS
			case e.Message == "rollout done":
				took = e.TookMS
			}
		}
		overhead, whole = append(overhead, (took-own)/4), append(whole, took)
	}
	of := median(overhead)
	b.table.add("rollout over the workers' own start and drain, a slot", "< 5 ms",
		fmt.Sprintf("%.2f ms (whole rollout of 4: %.0f ms)", of, median(whole)), verdictOf(of < 5))
	return nil
}

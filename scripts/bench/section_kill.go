//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// killed collects one peer's results.
type killed struct {
	*peer
	spare   bool // a standby waits
	times   []time.Duration
	dials   int
	refused int
}

// kill ends the only worker with SIGKILL and takes the time until its successor has answered a connection that was made
// in between. With one worker it is certain who answers. Backoff is made to forget at once, as after ten quiet seconds.
func (b *bench) kill() error {
	one := []string{"backoff: {reset: 1ms}"}
	n := b.times(30, 8)
	t, err := b.serve(b.tine(1, one...), 1)
	if err != nil {
		return err
	}
	defer t.p.stop()
	p, err := b.serve(b.prefork(1, t.settings()), 1)
	if err != nil {
		return err
	}
	defer p.p.stop()
	tine, prefork := &killed{peer: t}, &killed{peer: p}
	turns := []*killed{tine, prefork}
	for i := range n {
		for _, k := range turns {
			if err := b.killOnce(k); err != nil {
				return err
			}
		}
		if i%2 == 0 {
			slices.Reverse(turns)
		}
	}
	of := median(tine.times)
	ratio := float64(of) / float64(median(prefork.times))
	b.table.add(fmt.Sprintf("median of %d", n), "< 15 ms", ms(of), verdictOf(of < 15*time.Millisecond))
	b.table.add("the same to prefork by hand", "<= 1.1x", fmt.Sprintf("%.2fx (%s)", ratio, ms(median(prefork.times))), verdictOf(ratio <= 1.1))
	b.lost += tine.refused
	b.table.add("connections made meanwhile", "0 refused", fmt.Sprintf("%d refused of %d", tine.refused, tine.dials), verdictOf(tine.refused == 0))
	if err := b.killUnderLoad(); err != nil {
		return err
	}
	if !b.has("node", "the same with Node cluster") {
		return nil
	}
	s, err := b.serve(b.node(1), 1)
	if err != nil {
		return err
	}
	defer s.p.stop()
	node := &killed{peer: s}
	for range b.times(7, 3) {
		if err := b.killOnce(node); err != nil {
			return err
		}
	}
	b.table.add("the same with Node cluster", "", fmt.Sprintf("%s, %d refused of %d", ms(median(node.times)), node.refused, node.dials), info)
	return nil
}

func (b *bench) killOnce(k *killed) error {
	if err := b.sleep(60 * time.Millisecond); err != nil {
		return err
	}
	c := newClient(k.addr, false, false)
	defer c.close()
	body, f := c.do()
	if f != nil {
		return fmt.Errorf("cannot ask %s: %w", k.name, f)
	}
	old := pidIn(body)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { k.connect(stop) })
	began := time.Now()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot kill worker %d of %s: %w", old, k.name, err)
	}
	answered := make(chan time.Duration, probers)
	for i := range probers {
		wg.Go(func() { k.probe(i, old, began, stop, answered) })
	}
	select {
	case took := <-answered:
		k.times = append(k.times, took)
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s did not replace its worker within 20 s:\n%s", k.name, k.p.said())
	}
}

// probers ask at the same time: what one of them asks may be lost with the dying worker without a word.
const probers = 4

// probe asks until another process than old answers. The probers begin a few milliseconds apart.
func (k *killed) probe(i, old int, began time.Time, stop chan struct{}, answered chan<- time.Duration) {
	c := newClient(k.addr, false, false)
	defer c.close()
	time.Sleep(time.Duration(i) * 2 * time.Millisecond)
	for {
		select {
		case <-stop:
			return
		default:
		}
		body, f := c.do() // what the dying one took with it may fail
		if f == nil && pidIn(body) != old {
			answered <- time.Since(began)
			return
		}
	}
}

// connect only connects, every half millisecond.
func (k *killed) connect(stop chan struct{}) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for len(conns) < 500 {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		c, err := net.DialTimeout("tcp4", k.addr, requestTimeout)
		k.dials++
		if err == nil {
			conns = append(conns, c)
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			k.refused++
		}
	}
}

// killUnderLoad kills one of four workers at a time while clients ask: only what was in flight in it may be lost.
func (b *bench) killUnderLoad() error {
	s, err := b.serve(b.tine(4, "backoff: {reset: 1ms}", fmt.Sprintf("gomaxprocs: %d", max(1, runtime.NumCPU()/4))), 4)
	if err != nil {
		return err
	}
	defer s.p.stop()
	l := load{clients: rollClients}
	r := l.begin(s.addr, time.Minute)
	n := b.times(10, 4)
	for i := range n {
		if err = b.sleep(150 * time.Millisecond); err != nil {
			break
		}
		if pids := s.workers(); len(pids) > 0 {
			_ = syscall.Kill(pids[i%len(pids)], syscall.SIGKILL)
		}
	}
	if err == nil {
		err = b.sleep(150 * time.Millisecond)
	}
	t := r.end()
	if err != nil {
		return err
	}
	// A client has at most one request in flight, so one kill costs at most all clients one.
	ok := t.refused == 0 && t.failed <= n*rollClients
	if !ok {
		b.lost += t.failed
	}
	for _, e := range t.examples {
		fmt.Fprintf(os.Stderr, "bench: in flight in a killed worker: %s\n", e)
	}
	b.table.add(fmt.Sprintf("%d kills of one of 4, %d clients, closed loop", n, rollClients), "0 refused",
		fmt.Sprintf("%d refused; %d in flight lost of %d", t.refused, t.failed, t.requests), verdictOf(ok))
	return nil
}

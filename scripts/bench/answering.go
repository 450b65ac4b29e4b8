//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"
)

// answering dials until n different processes have answered. Several ask at once, since
// one that waits in the queue of a slot whose worker is not up yet must not hold up the others.
func (s *peer) answering(n int, limit time.Duration) error {
	began := time.Now()
	var mu sync.Mutex
	seen := map[int]bool{}
	done := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range min(2*n, 8) {
		wg.Go(func() {
			c := newClient(s.addr, false, false)
			defer c.close()
			for time.Since(began) < limit {
				select {
				case <-done:
					return
				case <-s.p.gone:
					return
				default:
				}
				body, f := c.do()
				if f != nil {
					time.Sleep(100 * time.Microsecond) // not there yet
					continue
				}
				mu.Lock()
				seen[pidIn(body)] = true
				all := len(seen) >= n
				mu.Unlock()
				if all {
					once.Do(func() { close(done) })
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-done:
		<-ended
		return nil
	case <-ended:
		return fmt.Errorf("%d of %d processes of %s answered within %v:\n%s", len(seen), n, s.name, limit, s.p.said())
	}
}

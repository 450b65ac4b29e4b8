package pool_test

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// The loop of a shell: carry out what the pool orders, and tell it what came of it. This one pretends.
func Example() {
	cfg := pool.Default()
	p, now := pool.New(cfg), time.Now()
	events := []pool.Event{pool.Start{}}
	for len(events) > 0 {
		event := events[0]
		events = events[1:]
		for _, effect := range p.Step(now, event) {
			switch e := effect.(type) {
			case pool.Spawn:
				fmt.Println("spawn worker", e.ID, "in slot", e.Slot)
				events = append(events, pool.Spawned{ID: e.ID, PID: 4711}, pool.Ready{ID: e.ID}, pool.Stop{})
			case pool.Drain:
				fmt.Println("drain worker", e.ID, "because of", e.Reason)
				events = append(events, pool.Exited{ID: e.ID})
			case pool.Record:
				fmt.Println("log:", e.Kind)
			case pool.Done:
				fmt.Println("exit", e.Code)
			}
		}
	}
	// Output:
	// spawn worker 1 in slot 0
	// log: spawned
	// log: ready
	// log: stopping
	// log: draining
	// drain worker 1 because of stop
	// log: exited
	// exit 0
}

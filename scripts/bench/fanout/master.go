//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/config"
)

type master struct {
	s       *supervisor.Supervisor
	workers int
	reports chan report
	ended   chan error
}

// report is what one worker has seen.
type report struct {
	PID   int
	Times map[int]int64 // number of the value: when the worker's callback saw it
	Last  int           // the newest number
	Sum   uint64        // of the large value's bytes, all of which were read
}

func startMaster(ctx context.Context, workers int) (*master, error) {
	m := &master{workers: workers, reports: make(chan report, 2*workers), ended: make(chan error, 1)}
	config := config.Single("fanout", []string{"127.0.0.1:0"}, workers, supervisor.Self())
	config.Apps[0].DrainDelay = time.Millisecond
	var err error
	m.s, err = supervisor.New(config, supervisor.WithOutput(io.Discard, io.Discard), supervisor.OnMessage(func(msg supervisor.Message) {
		var r report
		if msg.Topic == reportTopic && json.Unmarshal(msg.Data, &r) == nil {
			m.reports <- r
		}
	}))
	if err != nil {
		return nil, err
	}
	go func() { m.ended <- m.s.Run(ctx) }()
	select {
	case <-m.s.Ready():
		return m, nil
	case err := <-m.ended:
		return nil, fmt.Errorf("the workers did not start: %w", err)
	case <-ctx.Done():
		return nil, errors.New("the workers were not ready in time")
	}
}

func (m *master) stop() error {
	_ = m.s.Stop()
	return <-m.ended
}

// collect asks all workers what they have seen, until each has seen value number last.
func (m *master) collect(ctx context.Context, last int) (map[int]report, error) {
	seen := map[int]report{}
	for {
		if err := m.s.Broadcast(reportTopic, ""); err != nil {
			return nil, err
		}
		behind := 0
		for range m.workers {
			select {
			case r := <-m.reports:
				seen[r.PID] = r
				if r.Last < last {
					behind++
				}
			case <-ctx.Done():
				return nil, fmt.Errorf("%d of %d workers reported in time", len(seen), m.workers)
			}
		}
		if behind == 0 && len(seen) == m.workers {
			return seen, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// text is value number n as it is sent.
func text(n, size int, padding []byte) []byte {
	b := fmt.Appendf(make([]byte, 0, max(size, 24)), "%d ", n)
	if len(b) < size {
		b = append(b, padding[:size-len(b)]...)
	}
	return b
}

// latencies are, for each value, from before Set until the last worker had seen it or a newer one.
type latencies struct {
	NS []int64 `json:"ns"`
}

func (m *master) latency(ctx context.Context, values, size int, pause time.Duration) (any, error) {
	padding := noise(size)
	set := make([]int64, values+1)
	for n := 1; n <= values; n++ {
		time.Sleep(pause)
		value := text(n, size, padding)
		set[n] = clock()
		if _, err := m.s.Set(key, value); err != nil {
			return nil, err
		}
	}
	reports, err := m.collect(ctx, values)
	if err != nil {
		return nil, err
	}
	last := make([]int64, values+1)
	for _, r := range reports {
		var at int64
		for n := values; n >= 1; n-- {
			if t, ok := r.Times[n]; ok {
				at = t
			}
			last[n] = max(last[n], at-set[n])
		}
	}
	return latencies{NS: last[1:]}, nil
}

// endurance is how setting values for a while went.
type endurance struct {
	Rate     float64 `json:"rate"`      // values a second that Set took
	Early    int64   `json:"early"`     // most memory of the master in the first half, bytes
	Late     int64   `json:"late"`      // in the second half
	CaughtMS float64 `json:"caught_ms"` // from the last Set until all workers had the newest
}

func (m *master) sustained(ctx context.Context, rate, size int, span time.Duration) (any, error) {
	padding := noise(size)
	var out endurance
	began, sampled := time.Now(), time.Now()
	n := 0
	for time.Since(began) < span {
		for due := int(time.Since(began).Seconds() * float64(rate)); n < due; {
			n++
			if _, err := m.s.Set(key, text(n, size, padding)); err != nil {
				return nil, err
			}
		}
		if time.Since(sampled) > 50*time.Millisecond {
			sampled = time.Now()
			if used := procfs.RSS(os.Getpid()); time.Since(began) < span/2 {
				out.Early = max(out.Early, used)
			} else {
				out.Late = max(out.Late, used)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	out.Rate = float64(n) / time.Since(began).Seconds()
	done := time.Now()
	_, err := m.collect(ctx, n)
	out.CaughtMS = float64(time.Since(done)) / 1e6
	return out, err
}

// copies is what a large value costs in memory, over master and workers.
type copies struct {
	Value  int64 `json:"value"`
	Growth int64 `json:"growth"` // of the sum of all processes' PSS
	Mapped int64 `json:"mapped"` // of it, in the mapping that they share
}

func (m *master) large(ctx context.Context, size int) (any, error) {
	if _, err := m.s.Set(key, text(1, 0, nil)); err != nil {
		return nil, err
	}
	pids, err := m.pids(ctx, 1)
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory()
	before := pss(pids)
	sum, err := m.setLarge(size)
	if err != nil {
		return nil, err
	}
	reports, err := m.collect(ctx, 2)
	if err != nil {
		return nil, err
	}
	for pid, r := range reports {
		if r.Sum != sum {
			return nil, fmt.Errorf("worker %d read other bytes than were set", pid)
		}
	}
	debug.FreeOSMemory()
	return copies{Value: int64(size), Growth: pss(pids) - before, Mapped: mapped(pids)}, nil
}

// setLarge is by itself so that its own copy of the value is garbage when it is over.
func (m *master) setLarge(size int) (uint64, error) {
	value := text(2, size, noise(size))
	_, err := m.s.Set(key, value)
	return sumOf(value), err
}

func (m *master) pids(ctx context.Context, last int) ([]int, error) {
	reports, err := m.collect(ctx, last)
	return slices.AppendSeq([]int{os.Getpid()}, maps.Keys(reports)), err
}

// noise cannot be compressed or merged.
func noise(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// sumOf reads every whole word of b.
func sumOf(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		sum = sum*31 + binary.LittleEndian.Uint64(b)
	}
	return sum
}

package pool

import (
	"testing"
	"time"
)

func benchPool(b *testing.B, slots int, change ...func(*Config)) (*Pool, time.Time) {
	b.Helper()
	cfg := Default()
	cfg.Workers = slots
	for _, f := range change {
		f(&cfg)
	}
	p, now := New(cfg), time.Unix(0, 0)
	effects := p.Step(now, Start{})
	for _, e := range effects {
		if s, ok := e.(Spawn); ok {
			p.Step(now, Spawned{s.ID, int(s.ID)})
			p.Step(now, Ready{s.ID})
		}
	}
	return p, now
}

// BenchmarkTick: a Step that finds nothing to do, and the Deadline that the loop asks for after it.
func BenchmarkTick(b *testing.B) {
	p, now := benchPool(b, 256)
	b.ReportAllocs()
	for b.Loop() {
		p.Step(now, Tick{})
		p.Deadline()
	}
}

// BenchmarkTickAll: the same where workers grow old, one is stalled, and there are standbys that start.
func BenchmarkTickAll(b *testing.B) {
	p, now := benchPool(b, 256, func(cfg *Config) { cfg.MaxAge, cfg.Standby = time.Hour, 4 })
	p.Step(now, Stalled{7, "queue"})
	b.ReportAllocs()
	for b.Loop() {
		p.Step(now, Tick{})
		p.Deadline()
	}
}

// BenchmarkCrash: a worker crashes, is replaced, and its successor becomes ready. Three Steps.
func BenchmarkCrash(b *testing.B) {
	p, now := benchPool(b, 256)
	last := WorkerID(256)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Minute)
		p.Step(now, Tick{})
		p.Step(now, Exited{ID: last, Code: 1, Signal: 0})
		last++
		p.Step(now, Spawned{last, int(last)})
		p.Step(now, Ready{last})
		p.Deadline()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4, "ns/step")
}

// BenchmarkRollout: all 256 slots rolled, one at a time.
func BenchmarkRollout(b *testing.B) {
	p, now := benchPool(b, 256)
	steps := 0
	step := func(ev Event) []Effect {
		steps++
		effects := p.Step(now, ev)
		p.Deadline()
		return effects
	}
	b.ReportAllocs()
	for b.Loop() {
		todo := step(Roll{})
		for len(todo) > 0 {
			var next []Effect
			for _, e := range todo {
				switch e := e.(type) {
				case Spawn:
					next = append(next, step(Spawned{e.ID, int(e.ID)})...)
					next = append(next, step(Ready{e.ID})...)
				case Drain:
					next = append(next, step(Exited{ID: e.ID, Code: 0, Signal: 0})...)
				}
			}
			todo = next
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}

// TestTickIsFree: what happens most often allocates nothing.
func TestTickIsFree(t *testing.T) {
	cfg := Default()
	cfg.Workers = 64
	p, now := New(cfg), time.Unix(0, 0)
	p.Step(now, Start{})
	if n := testing.AllocsPerRun(100, func() { p.Step(now, Tick{}); p.Deadline() }); n != 0 {
		t.Errorf("a tick with nothing to do allocates %v times", n)
	}
}

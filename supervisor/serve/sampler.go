package serve

import (
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/proc"
)

const (
	// sampleApart is the least time between two samples that a rate is made of. The
	// kernel counts a process's time in hundredths of a second.
	sampleApart = 500 * time.Millisecond
	// sampleKept is how long a base serves for latencies, which are of about the last minute.
	sampleKept = time.Minute
	// sampleEvery is the time between two bases, of which samplesKept are remembered.
	sampleEvery = 10 * time.Second
	samplesKept = 7
)

// sampler turns counters into rates and recent latencies by comparing with earlier requests. Nothing is sampled in the background.
// Concurrent callers are serialised by mu. The zero sampler is ready.
type sampler struct {
	mu      sync.Mutex
	workers map[*proc.Process]*sampled
}

// sampled is what is remembered of one worker.
type sampled struct {
	asked   bool // it was sampled in the round under way
	at      time.Time
	used    host.Use
	percent float64
	bases   []base // oldest first
}

// base is a histogram as it was.
type base struct {
	at        time.Time
	histogram ipc.Histogram
}

// recent is what a sample of one worker gives. Memory is in bytes.
type recent struct {
	rss      int64
	percent  float64 // of one CPU, between the last two samples; 0 at the first
	p50, p99 time.Duration
}

// round begins a round of samples, in which all workers are sampled: a worker that is not is forgotten. It waits for a round under
// way. The caller calls done.
func (s *sampler) round() (done func()) {
	s.mu.Lock()
	if s.workers == nil {
		s.workers = map[*proc.Process]*sampled{}
	}
	return func() {
		for p, w := range s.workers {
			if !w.asked {
				delete(s.workers, p)
			}
			w.asked = false
		}
		s.mu.Unlock()
	}
}

// sample measures one worker, in a round. latencies may be nil. A worker that has ended has zero.
func (s *sampler) sample(now time.Time, p *proc.Process, latencies *ipc.Histogram) (r recent) {
	w := s.workers[p]
	if w == nil {
		w = &sampled{}
		s.workers[p] = w
	}
	w.asked = true
	if latencies != nil {
		r.p50, r.p99 = w.latencies(now, latencies)
	}
	select {
	case <-p.Exited():
		return r
	default:
	}
	u, err := host.UseOf(p.PID())
	if err != nil {
		return r
	}
	r.rss = u.RSS
	switch since := now.Sub(w.at); {
	case w.at.IsZero():
		w.at, w.used = now, u
	case since >= sampleApart:
		w.percent = max(100*float64(u.CPU-w.used.CPU)/float64(since), 0)
		w.at, w.used = now, u
	}
	r.percent = w.percent
	return r
}

// latencies are those of the requests since the oldest base that is not older than sampleKept; without one, since the start of the
// worker.
func (w *sampled) latencies(now time.Time, h *ipc.Histogram) (p50, p99 time.Duration) {
	for len(w.bases) > 0 && now.Sub(w.bases[0].at) > sampleKept {
		w.bases = w.bases[1:]
	}
	latest := *h
	if len(w.bases) > 0 {
		for i, n := range w.bases[0].histogram {
			latest[i] -= min(n, latest[i])
		}
	}
	if n := len(w.bases); n == 0 || now.Sub(w.bases[n-1].at) >= sampleEvery {
		w.bases = append(w.bases[max(n-samplesKept+1, 0):], base{now, *h})
	}
	return latest.Quantile(0.5), latest.Quantile(0.99)
}

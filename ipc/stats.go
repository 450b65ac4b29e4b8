package ipc

import "time"

// Stats is a copy of a row's numbers. Those of several rows can be added.
type Stats struct {
	Requests uint64          // the sum of Classes
	Classes  [Classes]uint64 // requests by the class of their answer, see Class
	Sent     uint64          // bytes
	Opened   uint64          // connections
	Closed   uint64
	Late     uint64 // requests that found no free cell

	GCCount    uint64
	GCPause    time.Duration // of sums: the longest
	Goroutines uint64
	Heap       uint64 // bytes

	Histogram Histogram // latencies
}

// Stats copies the row's numbers, each one atomically, but not all at one instant.
func (r *Row) Stats() Stats {
	s := Stats{
		Sent: r.Sent.Load(), Opened: r.Opened.Load(), Closed: r.Closed.Load(), Late: r.Late.Load(),
		GCCount: r.GCCount.Load(), GCPause: time.Duration(r.GCPause.Load()), Goroutines: r.Goroutines.Load(), Heap: r.Heap.Load(),
	}
	for i := range s.Classes {
		s.Classes[i] = r.Classes[i].Load()
		s.Requests += s.Classes[i]
	}
	for i := range s.Histogram {
		s.Histogram[i] = r.Histogram[i].Load()
	}
	return s
}

// Add adds o's numbers. GCPause becomes the longer of both. Goroutines and Heap are what is in use now: who carries on the
// counters of a worker that has gone sets these two to 0. Sums are modulo 2^64.
func (s *Stats) Add(o Stats) {
	s.Requests += o.Requests
	for i := range s.Classes {
		s.Classes[i] += o.Classes[i]
	}
	s.Sent += o.Sent
	s.Opened += o.Opened
	s.Closed += o.Closed
	s.Late += o.Late
	s.GCCount += o.GCCount
	s.GCPause = max(s.GCPause, o.GCPause)
	s.Goroutines += o.Goroutines
	s.Heap += o.Heap
	s.Histogram.Add(&o.Histogram)
}

// Errors returns the number of answers of class 5xx: the mistakes of the service, not of its clients.
func (s *Stats) Errors() uint64 { return s.Classes[4] }

// Quantile returns the latency that the fraction q of all requests do not exceed, see Histogram.Quantile.
func (s *Stats) Quantile(q float64) time.Duration { return s.Histogram.Quantile(q) }

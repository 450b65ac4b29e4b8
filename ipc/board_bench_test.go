package ipc

import "testing"

func BenchmarkMonotonic(b *testing.B) {
	for b.Loop() {
		Monotonic()
	}
}

// BenchmarkBeginEnd is what following a request costs the worker, without the clock.
func BenchmarkBeginEnd(b *testing.B) {
	for _, c := range []struct {
		name  string
		taken int
	}{{"idle", 0}, {"half", Cells / 2}, {"full", Cells}} {
		b.Run(c.name, func(b *testing.B) {
			r := newTestBoard(b).Row(0, 0)
			take(r, c.taken)
			now := Monotonic()
			b.ReportAllocs()
			for b.Loop() {
				r.End(r.Begin(now))
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		r := newTestBoard(b).Row(0, 0)
		now := Monotonic()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.End(r.Begin(now))
			}
		})
	})
}

// BenchmarkRequest is all words of a row that one request changes.
func BenchmarkRequest(b *testing.B) {
	r := newTestBoard(b).Row(0, 0)
	now := Monotonic()
	b.ReportAllocs()
	for b.Loop() {
		c := r.Begin(now)
		r.Classes[Class(200)].Add(1)
		r.Sent.Add(1000)
		r.Histogram[Bucket(123456)].Add(1)
		r.End(c)
	}
}

func BenchmarkBucket(b *testing.B) {
	ns := int64(0)
	for b.Loop() {
		ns += 977
		Bucket(ns)
	}
}

func BenchmarkStats(b *testing.B) {
	r := newTestBoard(b).Row(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Stats()
	}
}

func BenchmarkStatsAdd(b *testing.B) {
	s := newTestBoard(b).Row(0, 0).Stats()
	var sum Stats
	b.ReportAllocs()
	for b.Loop() {
		sum.Add(s)
	}
}

func BenchmarkQuantile(b *testing.B) {
	var h Histogram
	for i := range h {
		h[i] = uint64(i)
	}
	for b.Loop() {
		h.Quantile(0.99)
	}
}

func BenchmarkOldest(b *testing.B) {
	for _, c := range []struct {
		name  string
		taken int
	}{{"idle", 0}, {"full", Cells}} {
		b.Run(c.name, func(b *testing.B) {
			r := newTestBoard(b).Row(0, 0)
			take(r, c.taken)
			b.ReportAllocs()
			for b.Loop() {
				r.Oldest()
			}
		})
	}
}

func BenchmarkReset(b *testing.B) {
	r := newTestBoard(b).Row(0, 0)
	for b.Loop() {
		r.Reset(1)
	}
}

// take fills n cells of every two, then of all.
func take(r *Row, n int) {
	for i := range n {
		r.Cells[i*2%Cells+i*2/Cells].Store(int64(i) + 1)
	}
}

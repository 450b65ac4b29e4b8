package ipc

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBucketBounds: the buckets cover every latency once, in order, and only the two at the ends are wide.
func TestBucketBounds(t *testing.T) {
	end := int64(0)
	for i := range Buckets {
		low, high := BucketBounds(i)
		if low != end || high <= low {
			t.Fatalf("bucket %d is %d to %d, the one before ends at %d", i, low, high, end)
		}
		end = high
		if width := float64(high-low) / float64(low); i > 0 && i < Buckets-1 && width > 0.125 {
			t.Errorf("bucket %d, %d to %d, is %v of its lower bound wide", i, low, high, width)
		}
		for _, ns := range []int64{low, low + (high-low)/2, high - 1} {
			if got := Bucket(ns); got != i {
				t.Errorf("%d ns is in bucket %d, wanted %d", ns, got, i)
			}
		}
	}
	if end != math.MaxInt64 {
		t.Errorf("the last bucket ends at %d", end)
	}
	for ns, want := range map[int64]int{math.MinInt64: 0, -1: 0, 0: 0, 1023: 0, 1024: 0, 1151: 0, 1152: 1, 1 << 36: Buckets - 1, 1<<36 - 1: Buckets - 1, math.MaxInt64: Buckets - 1} {
		if got := Bucket(ns); got != want {
			t.Errorf("%d ns is in bucket %d, wanted %d", ns, got, want)
		}
	}
	for _, i := range []int{-1, Buckets} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("bucket %d has bounds", i)
				}
			}()
			BucketBounds(i)
		}()
	}
}

// TestQuantilesOfSamples compares with the exact quantiles: an answer is in the same bucket, so it is off by an eighth at most.
func TestQuantilesOfSamples(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, sample := range map[string]func() float64{
		"exponential": func() float64 { return 2_000_000 * rnd.ExpFloat64() },
		"log-normal":  func() float64 { return 3_000_000 * math.Exp(1.5*rnd.NormFloat64()) },
		"uniform":     func() float64 { return 1e4 + 1e9*rnd.Float64() },
		"two modes": func() float64 {
			if rnd.IntN(100) == 0 {
				return 5e8 + 1e7*rnd.Float64()
			}
			return 3e6 + 1e5*rnd.Float64()
		},
		"constant": func() float64 { return 123456 },
	} {
		var h Histogram
		all := make([]int64, 50_000)
		for i := range all {
			all[i] = int64(sample())
			h[Bucket(all[i])]++
		}
		slices.Sort(all)
		if h.Count() != uint64(len(all)) {
			t.Errorf("%s: %d counts of %d", name, h.Count(), len(all))
		}
		last := time.Duration(0)
		for _, q := range []float64{0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
			got := h.Quantile(q)
			exact := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
			if d := math.Abs(float64(int64(got) - exact)); d > 0.125*float64(exact) && exact > 1152 || Bucket(int64(got)) != Bucket(exact) {
				t.Errorf("%s: quantile %v is %s, exactly %s", name, q, got, time.Duration(exact))
			}
			if got < last {
				t.Errorf("%s: quantile %v is %s, less than the one before (%s)", name, q, got, last)
			}
			last = got
		}
	}
}

func TestQuantileOfOddHistograms(t *testing.T) {
	var h Histogram
	for _, q := range []float64{0, 0.5, 1, math.NaN(), math.Inf(1), -1} {
		if got := h.Quantile(q); got != 0 {
			t.Errorf("nothing counted, quantile %v is %s", q, got)
		}
	}
	h[3] = 1
	low, high := BucketBounds(3)
	for _, q := range []float64{0, 0.5, 1, 2, math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		if got := int64(h.Quantile(q)); got < low || got >= high {
			t.Errorf("quantile %v is %d, the only count is in %d to %d", q, got, low, high)
		}
	}
	h = Histogram{Buckets - 1: 5}
	if got, _ := BucketBounds(Buckets - 1); h.Quantile(0.5) != time.Duration(got) {
		t.Errorf("%s", h.Quantile(0.5))
	}
	for i := range h { // what a worker that means harm may write
		h[i] = math.MaxUint64
	}
	for q := -0.5; q < 1.5; q += 0.01 {
		if h.Quantile(q) < 0 {
			t.Errorf("quantile %v is %s", q, h.Quantile(q))
		}
	}
}

func TestHistogramAdd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var a, b, both Histogram
	for range 10_000 {
		i := Bucket(int64(1e6 * rnd.ExpFloat64()))
		both[i]++
		if rnd.IntN(2) == 0 {
			a[i]++
		} else {
			b[i]++
		}
	}
	a.Add(&b)
	if a != both {
		t.Error("the sum of two parts is not the whole")
	}
}

// FuzzBucket: every value has one bucket, whose bounds hold it.
func FuzzBucket(f *testing.F) {
	for _, ns := range []int64{0, -1, 1023, 1152, 1 << 20, 1<<36 - 1, 1 << 36, math.MaxInt64, math.MinInt64} {
		f.Add(ns)
	}
	f.Fuzz(func(t *testing.T, ns int64) {
		i := Bucket(ns)
		low, high := BucketBounds(i)
		if v := max(ns, 0); v < low || v >= high && v != math.MaxInt64 {
			t.Fatalf("%d ns is in bucket %d, %d to %d", ns, i, low, high)
		}
		if ns < math.MaxInt64 && Bucket(ns+1) < i {
			t.Fatalf("%d ns is in bucket %d, one more in %d", ns, i, Bucket(ns+1))
		}
	})
}

package ipc

import (
	"math"
	"math/bits"
	"time"
)

// The histogram is log-linear: each octave has 8 buckets of equal width, so that no bucket is wider than 1/8 of its lower
// bound. The octaves begin at 1024 ns and end at 2^36 ns, which is 68.7 s. What is shorter counts in the first bucket, what
// is longer in the last.
const (
	Buckets = (histogramEnd - histogramBegin) * bucketsPerOctave

	histogramBegin   = 10 // log2 of nanoseconds
	histogramEnd     = 36
	bucketBits       = 3
	bucketsPerOctave = 1 << bucketBits
)

// Bucket returns the index of the bucket, 0 to Buckets-1, in which a latency of ns nanoseconds counts. Any value is allowed;
// a negative one counts as 0.
func Bucket(ns int64) int {
	v := uint64(max(ns, 1<<histogramBegin))
	n := bits.Len64(v) - 1
	return min((n-histogramBegin)<<bucketBits+int(v>>(n-bucketBits)&(bucketsPerOctave-1)), Buckets-1)
}

// BucketBounds returns which latencies count in bucket i: those of low nanoseconds and more, but less than high. The first
// bucket begins at 0; the last ends at the largest int64, which counts in it too. i outside 0 to Buckets-1 panics.
func BucketBounds(i int) (low, high int64) {
	if i < 0 || i >= Buckets {
		panic("ipc: no such bucket")
	}
	low, high = bucketLow(i), bucketLow(i+1)
	if i == 0 {
		low = 0
	}
	if i == Buckets-1 {
		high = math.MaxInt64
	}
	return low, high
}

func bucketLow(i int) int64 {
	octave, step := i>>bucketBits, i&(bucketsPerOctave-1)
	return int64(bucketsPerOctave+step) << (histogramBegin - bucketBits + octave)
}

// Histogram is how many latencies counted in each bucket.
type Histogram [Buckets]uint64

// Add adds the counts of o. Sums are modulo 2^64.
func (h *Histogram) Add(o *Histogram) {
	for i := range h {
		h[i] += o[i]
	}
}

// Count is the sum of all buckets, modulo 2^64.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, v := range h {
		n += v
	}
	return n
}

// Quantile returns the latency that the fraction q of all counts do not exceed: 0.5 gives the median. Within a bucket the
// counts are taken as evenly spread, so that the answer is in the same bucket as the exact one. It is 0 without
// counts, and the lower bound of the last bucket for what lies in that. q below 0 or not a number counts as 0, above 1 as 1.
func (h *Histogram) Quantile(q float64) time.Duration {
	var total float64 // not Count: a sum that wraps would be too small
	last := -1
	for i, v := range h {
		if v > 0 {
			total += float64(v)
			last = i
		}
	}
	if last < 0 {
		return 0
	}
	if !(q > 0) {
		q = 0
	}
	want := min(q, 1) * total
	for i := 0; i < last; i++ {
		v := float64(h[i])
		if v > 0 && want <= v {
			return within(i, want/v)
		}
		want -= v
	}
	return within(last, want/float64(h[last])) // also when rounding left a little of want
}

// within is the latency at a fraction of bucket i.
func within(i int, fraction float64) time.Duration {
	low, high := BucketBounds(i)
	if i == Buckets-1 {
		return time.Duration(low)
	}
	return time.Duration(low + int64(max(0, min(fraction, 1))*float64(high-1-low)))
}

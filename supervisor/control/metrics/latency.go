package metrics

import (
	dto "github.com/prometheus/client_model/go"
	"github.com/tinehq/tine/ipc"
)

// The buckets that are shown of the scoreboard's: two an octave, at 1 and 1.5 times a
// power of two, from 65.5 µs to 34.4 s. The scoreboard has eight an octave, which a
// Prometheus need not keep for each app.
const (
	bucketStep  = 4
	firstBucket = (16 - 10) * 8 // that begins at 2^16 ns; the scoreboard's begin at 2^10
	lastBucket  = (35 - 10) * 8
)

// latencies is a histogram of the scoreboard in seconds. Its bounds are exact but for
// the requests that took just that many nanoseconds. The scoreboard has no sum: it is
// that of the middles of its buckets, and so at most 1/16 off but for what lies in the
// first (under 1.2 µs) and the last (over 64 s).
func latencies(h *ipc.Histogram) *dto.Histogram {
	var count uint64
	var sum float64
	out := &dto.Histogram{}
	for i, n := range h {
		if i >= firstBucket && i <= lastBucket && (i-firstBucket)%bucketStep == 0 {
			low, _ := ipc.BucketBounds(i)
			out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: new(count), UpperBound: new(float64(low) / 1e9)})
		}
		count += n
		low, high := ipc.BucketBounds(i)
		if i == ipc.Buckets-1 {
			high = low // the upper bound is the largest int64, which would distort the sum
		}
		sum += float64(n) * (float64(low) + float64(high-low)/2) / 1e9
	}
	out.SampleCount, out.SampleSum = &count, &sum
	return out
}

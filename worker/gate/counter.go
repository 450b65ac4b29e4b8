package gate

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc/tickets"
)

// Counter is what all gateways that share it have sent to one member. Of a member that has a slot in a book of tickets InFlight is 0, as the
// slot tells it. It holds no pointer, so that it can lie in memory that
// processes share.
type Counter struct {
	InFlight atomic.Int64 // requests that were sent and are not answered
	Sent     atomic.Int64 // requests ever
	Failed   atomic.Int64 // of them, those that the member has refused, or failed in
}

// live is what is known of a member for as long as it is in the tables, whichever snapshot is current.
type live struct {
	*Counter
	slot     *tickets.Slot // in place of Counter; read and written by the goroutine that gives the tables alone
	latency  latency
	pickedAt atomic.Int64 // nanoseconds of ipc.Monotonic

	refusals     atomic.Int64 // in a row
	refusedUntil atomic.Int64 // nanoseconds of ipc.Monotonic: until then it is picked only where all others are out too

	// Of the newest report. Read and written by the goroutine that gives the tables alone: Pick goes by what a snapshot has of them.
	epoch, sequence uint64
	reported        bool
	heardAt         int64   // when it came here, in nanoseconds of ipc.Monotonic
	sentThen        int64   // Counter.Sent at that time
	then            float64 // Counter.InFlight at that time
	told            float64 // requests in flight, by the report
	tells           bool    // the report has them
}

const (
	// leastRefused is how long a member that refuses is passed over the first time; it doubles up to mostRefused.
	leastRefused = 100 * time.Millisecond
	mostRefused  = time.Second
)

// refuse notes that the member has refused, at now.
func (l *live) refuse(now int64) {
	n := min(l.refusals.Add(1), 10)
	l.refusedUntil.Store(now + int64(min(leastRefused<<(n-1), mostRefused)))
}

// accept notes that it has answered.
func (l *live) accept() {
	if l.refusals.Load() != 0 {
		l.refusals.Store(0)
		l.refusedUntil.Store(0)
	}
}

const (
	// halfLife is the time in which half of the distance between a member's latency and the median of all is forgotten.
	halfLife = 10 * time.Second
	// keep is the time constant of the moving average: a sample that is as old counts 1/e.
	keep = 10 * time.Second
)

// latency is a moving average of what requests took, in nanoseconds. A sample that meets another one in the same instant may be
// left out: there are many.
type latency struct {
	value atomic.Uint64 // bits of a float64; 0: there is no sample
	at    atomic.Int64  // of the newest sample, in nanoseconds of ipc.Monotonic
}

// sample adds what one request took to the average, which has decayed to median since the last. peak: a sample above the average
// becomes the average at once.
func (l *latency) sample(now int64, took, median float64, peak bool) {
	at := l.at.Load()
	if !l.at.CompareAndSwap(at, max(now, at)) {
		return // another sample is being added
	}
	before, known := l.since(at, now, median)
	if !known || peak && took > before {
		l.value.Store(math.Float64bits(max(took, 1)))
		return
	}
	w := math.Exp(-float64(max(now-at, 0)) / float64(keep))
	w = min(w, 0.9) // samples that come together count one tenth each, else the first would stay
	l.value.Store(math.Float64bits(max(before*w+took*(1-w), 1)))
}

// sampled is the average as of the newest sample; 0: there is none.
func (l *latency) sampled() float64 { return math.Float64frombits(l.value.Load()) }

// now is the average as it counts now: decayed to median. known: there is a sample.
func (l *latency) now(now int64, median float64) (v float64, known bool) {
	return l.since(l.at.Load(), now, median)
}

func (l *latency) since(at, now int64, median float64) (v float64, known bool) {
	if v = l.sampled(); v == 0 {
		return 0, false
	}
	if median == 0 {
		return v, true // no snapshot has seen a sample yet
	}
	return median + (v-median)*math.Exp2(-float64(max(now-at, 0))/float64(halfLife)), true
}

// times is a histogram of latencies by powers of two, of which the older half is forgotten now and then. It tells a percentile to a
// factor of 2, which is enough to charge a failure.
type times struct{ buckets [64]atomic.Int64 }

func (t *times) add(took float64) {
	t.buckets[min(max(math.Ilogb(max(took, 1)), 0), 63)].Add(1)
}

// percentile is the upper bound of the bucket in which the percentile is; 0: there is no sample.
func (t *times) percentile(p float64) float64 {
	all := int64(0)
	for i := range t.buckets {
		all += t.buckets[i].Load()
	}
	rank := int64(math.Ceil(float64(all) * p))
	for i := range t.buckets {
		if rank -= t.buckets[i].Load(); rank <= 0 && all > 0 {
			return math.Ldexp(1, i+1)
		}
	}
	return 0
}

func (t *times) halve() {
	for i := range t.buckets {
		t.buckets[i].Add(-t.buckets[i].Load() / 2)
	}
}

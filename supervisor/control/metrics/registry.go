package metrics

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Limits of what the workers of one app can make the master keep.
const (
	maxText    = 4 << 20 // bytes of one worker's answer
	maxSeries  = 20_000  // of one app: counters, histograms and summaries
	maxBuckets = 256     // of one histogram
)

// prefix is that of the master's own metrics.
const prefix = "tine_"

// registry is what the programs of one app measure. Those of its workers that are
// gone are part of it.
type registry struct {
	app    string
	series map[string]*series // what is summed
	failed func(reason, detail string)
}

// series is one counter, histogram or summary: the sum over an app's workers.
type series struct {
	name, help string
	kind       dto.MetricType
	labels     []*dto.LabelPair
	gone       sum            // of the workers that are gone
	live       map[uint64]sum // by worker
	told       sum            // at the last scrape
}

// sum is what a series has counted. A counter has its value in sum alone; a summary
// has no buckets.
type sum struct {
	count   uint64
	sum     float64
	buckets []bucket // by bound, cumulative
}

type bucket struct {
	bound float64
	count uint64
}

// at is how many observations are known to be at most bound.
func (s sum) at(bound float64) uint64 {
	i, found := slices.BinarySearchFunc(s.buckets, bound, func(b bucket, at float64) int { return cmp.Compare(b.bound, at) })
	if found {
		return s.buckets[i].count
	}
	if i == 0 {
		return 0
	}
	return s.buckets[i-1].count
}

// plus adds. Histograms of other bounds, from another version of the program, are
// brought to the bounds of both: what lies between two bounds counts at the higher.
func (s sum) plus(o sum) sum {
	out := sum{count: s.count + o.count, sum: s.sum + o.sum}
	switch {
	case len(s.buckets) == 0 && s.count == 0:
		out.buckets = o.buckets
		return out
	case len(o.buckets) == 0 && o.count == 0:
		out.buckets = s.buckets
		return out
	}
	for i, j := 0, 0; i < len(s.buckets) || j < len(o.buckets); {
		var bound float64
		switch {
		case j == len(o.buckets) || i < len(s.buckets) && s.buckets[i].bound < o.buckets[j].bound:
			bound = s.buckets[i].bound
			i++
		case i == len(s.buckets) || o.buckets[j].bound < s.buckets[i].bound:
			bound = o.buckets[j].bound
			j++
		default:
			bound = s.buckets[i].bound
			i, j = i+1, j+1
		}
		out.buckets = append(out.buckets, bucket{bound, s.at(bound) + o.at(bound)})
	}
	return out
}

// less says whether s has counted less than o, which was before it: the counting
// process has begun anew.
func (s sum) less(o sum, kind dto.MetricType) bool {
	if kind == dto.MetricType_COUNTER {
		return s.sum < o.sum
	}
	if s.count < o.count {
		return true
	}
	return slices.ContainsFunc(o.buckets, func(b bucket) bool { return s.at(b.bound) < b.count })
}

// answer is what one worker said.
type answer struct {
	worker Worker
	text   []byte
}

// parse reads an exposition.
func parse(text []byte) (found map[string]*dto.MetricFamily, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%d bytes, at most %d are taken", len(text), maxText)
	}
	defer func() {
		if p := recover(); p != nil { // of a library, at what a stranger has written
			found, err = nil, fmt.Errorf("cannot be read: %v", p)
		}
	}()
	p := expfmt.NewTextParser(model.UTF8Validation)
	return p.TextToMetricFamilies(bytes.NewReader(text))
}

// take adds to out what the app's workers say. workers are all that the app has now:
// what is known of others is that of workers that are gone.
func (r *registry) take(out families, workers []Worker, answers []answer) {
	r.bury(workers)
	gauges := gaugesOf{seen: map[string]uint64{}, out: map[string]*dto.Metric{}, family: map[string]*dto.MetricFamily{}}
	for _, a := range answers {
		found, err := parse(a.text)
		if err != nil {
			r.failed("format", fmt.Sprintf("worker %d: %v", a.worker.ID, err))
			continue
		}
		for name, f := range found {
			switch {
			case strings.HasPrefix(name, prefix):
				r.failed("name", name)
				continue
			case f.GetType() == dto.MetricType_GAUGE, f.GetType() == dto.MetricType_UNTYPED:
				gauges.take(r, a.worker, f)
			default:
				r.count(a.worker, f)
			}
		}
	}
	r.tell(out)
	gauges.tell(r, out)
}

// bury moves what workers have counted that are gone to where it stays.
func (r *registry) bury(workers []Worker) {
	alive := map[uint64]bool{}
	for _, w := range workers {
		alive[w.ID] = true
	}
	for _, s := range r.series {
		for id, last := range s.live {
			if !alive[id] {
				s.gone = s.gone.plus(last)
				delete(s.live, id)
			}
		}
	}
}

// count takes the counters, histograms or summaries of one worker.
func (r *registry) count(w Worker, f *dto.MetricFamily) {
	for _, m := range f.Metric {
		now, ok := sumOf(f.GetType(), m)
		if !ok {
			r.failed("value", f.GetName())
			continue
		}
		own := r.labels(m)
		key := keyOf(f.GetName(), own)
		s := r.series[key]
		if s == nil {
			if len(r.series) >= maxSeries {
				r.failed("series", fmt.Sprintf("%s: more than %d series", f.GetName(), maxSeries))
				return
			}
			s = &series{name: f.GetName(), kind: f.GetType(), labels: own, live: map[uint64]sum{}}
			r.series[key] = s
		}
		if s.kind != f.GetType() {
			r.failed("type", f.GetName())
			return
		}
		s.help = f.GetHelp()
		if last, ok := s.live[w.ID]; ok && now.less(last, s.kind) {
			s.gone = s.gone.plus(last)
		}
		s.live[w.ID] = now
	}
}

// sumOf reads one series. What cannot be summed is not ok.
func sumOf(kind dto.MetricType, m *dto.Metric) (s sum, ok bool) {
	switch kind {
	case dto.MetricType_COUNTER:
		s.sum = m.GetCounter().GetValue()
		return s, sound(s.sum)
	case dto.MetricType_SUMMARY:
		s.count, s.sum = m.GetSummary().GetSampleCount(), m.GetSummary().GetSampleSum()
		return s, !math.IsNaN(s.sum) && !math.IsInf(s.sum, 0)
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		s.count, s.sum = h.GetSampleCount(), h.GetSampleSum()
		if math.IsNaN(s.sum) || math.IsInf(s.sum, 0) || len(h.Bucket) > maxBuckets {
			return s, false
		}
		for _, b := range h.Bucket {
			if math.IsNaN(b.GetUpperBound()) {
				return s, false
			}
			s.buckets = append(s.buckets, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
		slices.SortFunc(s.buckets, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
		var before uint64
		for i, b := range s.buckets {
			if b.count < before || i > 0 && b.bound == s.buckets[i-1].bound {
				return s, false
			}
			before = b.count
		}
		return s, before <= s.count
	}
	return s, false
}

// labels are those of a program's series, sorted, with the app's before them.
func (r *registry) labels(m *dto.Metric, more ...pair) []*dto.LabelPair {
	all := append(more, pair{"app", r.app})
	for _, l := range m.Label {
		name := l.GetName()
		for name == "app" || name == "slot" || slices.ContainsFunc(all, func(p pair) bool { return p.name == name }) {
			name = "exported_" + name
		}
		all = append(all, pair{name, l.GetValue()})
	}
	return labels(all)
}

// tell adds the sums to out. A family that another app, or the master, has with
// another type is left out.
func (r *registry) tell(out families) {
	for _, key := range slices.Sorted(maps.Keys(r.series)) {
		s := r.series[key]
		total := s.gone
		for _, id := range slices.Sorted(maps.Keys(s.live)) {
			total = total.plus(s.live[id])
		}
		// The same numbers in another order may come to a little less, which would be
		// taken for a new beginning.
		if s.kind == dto.MetricType_COUNTER {
			total.sum = max(total.sum, s.told.sum)
		} else if d := s.told.sum - total.sum; d > 0 && d < 1e-9*math.Abs(s.told.sum) {
			total.sum = s.told.sum
		}
		s.told = total
		f, ok := out.family(s.name, s.help, s.kind)
		if !ok {
			r.failed("type", s.name)
			continue
		}
		f.Metric = append(f.Metric, s.metric(total))
	}
}

func (s *series) metric(total sum) *dto.Metric {
	m := &dto.Metric{Label: s.labels}
	switch s.kind {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: &total.sum}
	case dto.MetricType_SUMMARY: // quantiles of several processes have no sum
		m.Summary = &dto.Summary{SampleCount: &total.count, SampleSum: &total.sum}
	default:
		m.Histogram = &dto.Histogram{SampleCount: &total.count, SampleSum: &total.sum}
		for _, b := range total.buckets {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{UpperBound: new(b.bound), CumulativeCount: new(b.count)})
		}
	}
	return m
}

// gaugesOf are those of one scrape. Of two workers in a slot, the newer one's count.
type gaugesOf struct {
	seen   map[string]uint64 // which worker's
	out    map[string]*dto.Metric
	family map[string]*dto.MetricFamily
}

func (g *gaugesOf) take(r *registry, w Worker, f *dto.MetricFamily) {
	slot := pair{"slot", strconv.Itoa(w.Slot)}
	for _, m := range f.Metric {
		own := r.labels(m, slot)
		key := keyOf(f.GetName(), own)
		if id, taken := g.seen[key]; taken && id > w.ID {
			continue
		}
		v := m.GetGauge().GetValue()
		if m.Untyped != nil {
			v = m.Untyped.GetValue()
		}
		g.seen[key], g.family[key] = w.ID, f
		g.out[key] = &dto.Metric{Label: own, Gauge: &dto.Gauge{Value: &v}}
	}
}

func (g *gaugesOf) tell(r *registry, out families) {
	for _, key := range slices.Sorted(maps.Keys(g.out)) {
		from := g.family[key]
		f, ok := out.family(from.GetName(), from.GetHelp(), dto.MetricType_GAUGE)
		if !ok {
			r.failed("type", from.GetName())
			continue
		}
		f.Metric = append(f.Metric, g.out[key])
	}
}

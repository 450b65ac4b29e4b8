package metrics

import (
	"cmp"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/tinehq/tine/ipc"
)

// families are metrics by name, as they are collected for one scrape.
type families map[string]*dto.MetricFamily

// family returns the one of that name, or not ok if there is one of another type.
// Help is the first that was given.
func (f families) family(name, help string, kind dto.MetricType) (*dto.MetricFamily, bool) {
	m := f[name]
	if m == nil {
		m = &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
		f[name] = m
	}
	return m, m.GetType() == kind
}

// list has them as an exposition does: by name, and their series by their labels.
func (f families) list() []*dto.MetricFamily {
	all := make([]*dto.MetricFamily, 0, len(f))
	for _, m := range f {
		if len(m.Metric) > 0 {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// pair is one label.
type pair struct{ name, value string }

func labels(pairs []pair) []*dto.LabelPair {
	all := make([]*dto.LabelPair, len(pairs))
	for i := range pairs {
		p := pairs[i]
		p.value = strings.ToValidUTF8(p.value, "\uFFFD")
		all[i] = &dto.LabelPair{Name: &p.name, Value: &p.value}
	}
	slices.SortFunc(all, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// keyOf is what tells a series from the others of its name. pairs are sorted.
func keyOf(name string, pairs []*dto.LabelPair) string {
	var b strings.Builder
	b.WriteString(name)
	for _, p := range pairs {
		b.WriteByte(0xff) // is in no UTF-8
		b.WriteString(p.GetName())
		b.WriteByte(0xfe)
		b.WriteString(p.GetValue())
	}
	return b.String()
}

// steady keeps counters from going back: one that does has begun anew, as Prometheus
// itself takes it, and goes on from what it had. Series that are not told in a scrape
// are forgotten.
type steady struct {
	before, now            map[string]grown
	latencyBefore, latency map[string]grownHistogram // by app
}

type grown struct{ base, last float64 }

type grownHistogram struct{ base, last ipc.Histogram }

func (s *steady) begin() { s.now, s.latency = map[string]grown{}, map[string]grownHistogram{} }

func (s *steady) end() {
	s.before, s.now = s.now, nil
	s.latencyBefore, s.latency = s.latency, nil
}

func (s *steady) histogram(key string, h ipc.Histogram) ipc.Histogram {
	g := s.latencyBefore[key]
	for i, n := range h {
		if n < g.last[i] {
			g.base.Add(&g.last)
			break
		}
	}
	g.last = h
	s.latency[key] = g
	h.Add(&g.base)
	return h
}

func (s *steady) counter(key string, v float64) float64 {
	g := s.before[key]
	if v < g.last {
		g.base += g.last
	}
	g.last = v
	s.now[key] = g
	return g.base + v
}

// builder makes the master's own metrics.
type builder struct {
	families
	steady *steady
}

func (b builder) add(name, help string, kind dto.MetricType, m *dto.Metric, pairs []pair) {
	f, ok := b.family(name, help, kind)
	if !ok {
		panic("metrics: " + name + " has two types")
	}
	m.Label = labels(pairs)
	f.Metric = append(f.Metric, m)
}

func (b builder) gauge(name, help string, v float64, pairs ...pair) {
	b.add(name, help, dto.MetricType_GAUGE, &dto.Metric{Gauge: &dto.Gauge{Value: &v}}, pairs)
}

func (b builder) counter(name, help string, v uint64, pairs ...pair) {
	value := b.steady.counter(keyOf(name, labels(pairs)), float64(v))
	b.add(name, help, dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Value: &value}}, pairs)
}

func (b builder) histogram(name, help string, h *dto.Histogram, pairs ...pair) {
	b.add(name, help, dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: h}, pairs)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sound says whether v can be part of a sum that shall not go back.
func sound(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }

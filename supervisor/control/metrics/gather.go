package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	// callTime bounds the wait for the workers' own metrics, snapshotTime that for the master.
	callTime     = time.Second
	snapshotTime = 3 * time.Second
	// maxScrapes bounds those that are served at a time. They share one gathering.
	maxScrapes = 8
	// maxTold bounds the failures that are remembered to be logged once.
	maxTold = 1000
)

// The workers answer these by themselves: see package worker.
const methodMetrics = "tine.metrics"

// Metrics gathers. Safe for concurrent use: a call while another one is under way
// gets the same answer.
type Metrics struct {
	source Source
	log    zerolog.Logger
	system *prometheus.Registry // the process and Go's runtime

	mu      sync.Mutex
	flight  *flight // under way
	profile sync.Mutex

	// Only of the flight.
	steady   steady
	apps     map[string]*registry
	failures map[failure]uint64
	told     map[string]bool
}

// reasons are why a part of the programs' own metrics is left out.
var reasons = []string{"no answer", "format", "name", "type", "value", "series"}

// failure is a kind of them, as they are counted.
type failure struct{ app, reason string }

// flight is one gathering, which several may wait for.
type flight struct {
	done     chan struct{}
	families []*dto.MetricFamily
	err      error
}

// New returns what gathers from source. It says to log what it leaves out, each thing
// once.
func New(source Source, log zerolog.Logger) *Metrics {
	m := &Metrics{
		source: source, log: log, system: prometheus.NewRegistry(),
		apps: map[string]*registry{}, failures: map[failure]uint64{}, told: map[string]bool{},
	}
	m.system.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with all metrics, in the format that is asked for: text unless that
// is another. It takes little more than a second, whatever the workers do. Of more
// than 8 at a time, the rest is answered with 503.
func (m *Metrics) Handler() http.Handler {
	places := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			control.Problem(w, api.Refuse(http.StatusServiceUnavailable, "%d scrapes are under way already", maxScrapes))
			return
		}
		families, err := m.Gather(r.Context())
		if err != nil {
			control.Problem(w, api.Refuse(http.StatusServiceUnavailable, "cannot gather metrics: %v", err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		promhttp.HandlerFor(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// Gather returns all metrics by name. The caller must not change them.
func (m *Metrics) Gather(ctx context.Context) ([]*dto.MetricFamily, error) {
	m.mu.Lock()
	f := m.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		m.flight = f
		// Not with the context of who asked first: others may wait too.
		go m.fly(f)
	}
	m.mu.Unlock()
	select {
	case <-f.done:
		return f.families, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly ends within snapshotTime and callTime.
func (m *Metrics) fly(f *flight) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("gathering metrics panicked")
			f.families, f.err = nil, errors.New("it panicked: see the master's log")
		}
		m.mu.Lock()
		m.flight = nil
		m.mu.Unlock()
		close(f.done)
	}()
	f.families, f.err = m.gather()
}

func (m *Metrics) gather() ([]*dto.MetricFamily, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTime)
	defer cancel()
	s, err := m.source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all := families{}
	system, err := m.system.Gather()
	if err != nil {
		m.failed("", "system", err.Error()) // the rest is there
	}
	for _, f := range system {
		all[f.GetName()] = f
	}
	m.steady.begin()
	b := builder{all, &m.steady}
	b.own(s)
	gateways := m.askGateways()
	m.programs(b, s)
	if g := <-gateways; g.err != nil {
		m.failed("", "gateways", g.err.Error())
	} else {
		b.gateways(g.all)
	}
	for f, n := range m.failures {
		b.counter("tine_scrape_failures_total", "What could not be told of the programs' own metrics, by reason: no answer, format, name, type, value, series.", n,
			pair{"app", f.app}, pair{"reason", f.reason})
	}
	b.gauge("tine_scrape_duration_seconds", "How long it took to gather this.", time.Since(began).Seconds())
	m.steady.end()
	return all.list(), nil
}

// told is what gateways tell.
type told struct {
	all api.Gateways
	err error
}

// askGateways asks while the programs are asked.
func (m *Metrics) askGateways() <-chan told {
	answer := make(chan told, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), snapshotTime)
		defer cancel()
		var g told
		g.all, g.err = m.source.Gateways(ctx)
		answer <- g
	}()
	return answer
}

// programs asks all workers of all apps at once and adds what they say.
func (m *Metrics) programs(b builder, s *Snapshot) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	replies := make([][]reply, len(s.Apps))
	var wg sync.WaitGroup
	for i, a := range s.Apps {
		replies[i] = make([]reply, len(a.Workers))
		for j, w := range a.Workers {
			wg.Go(func() {
				replies[i][j].text, replies[i][j].err = m.source.Call(ctx, a.Name, w.ID, methodMetrics, nil)
			})
		}
	}
	wg.Wait()
	known := map[string]bool{}
	for i, a := range s.Apps {
		known[a.Name] = true
		r := m.apps[a.Name]
		if r == nil {
			r = &registry{app: a.Name, series: map[string]*series{}, failed: func(reason, detail string) { m.failed(a.Name, reason, detail) }}
			m.apps[a.Name] = r
			for _, reason := range reasons {
				m.failures[failure{a.Name, reason}] += 0 // a rate needs what it begins with
			}
		}
		var answers []answer
		silent := 0
		for j, w := range a.Workers {
			switch err := replies[i][j].err; {
			case err == nil:
				answers = append(answers, answer{w, replies[i][j].text})
			case !hasNone(err):
				silent++
				m.failed(a.Name, "no answer", fmt.Sprintf("worker %d: %v", w.ID, err))
			}
		}
		app := pair{"app", a.Name}
		b.gauge("tine_scrape_workers", "Workers that were asked for the program's own metrics at this scrape, and have some, by whether they answered.", float64(len(answers)), app, pair{"result", "answered"})
		b.gauge("tine_scrape_workers", "", float64(silent), app, pair{"result", "silent"})
		r.take(b.families, a.Workers, answers)
	}
	for name := range m.apps {
		if !known[name] {
			delete(m.apps, name)
			maps.DeleteFunc(m.failures, func(f failure, _ uint64) bool { return f.app == name })
		}
	}
}

type reply struct {
	text []byte
	err  error
}

// hasNone says whether a worker is one without metrics of its own, or gone.
func hasNone(err error) bool {
	var r *api.Refusal
	return errors.As(err, &r) && (r.Status == http.StatusNotImplemented || r.Status == http.StatusNotFound)
}

func (m *Metrics) failed(app, reason, detail string) {
	m.failures[failure{app, reason}]++
	key := app + " " + reason + " " + detail
	if m.told[key] || len(m.told) >= maxTold {
		return
	}
	m.told[key] = true
	m.log.Warn().Str("app", app).Str("reason", reason).Str("detail", detail).Msg("metrics of a worker are left out")
}

package master

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/control/metrics"
	"github.com/tinehq/tine/worker"
)

// jobs is what the workers of these tests measure: one for each request.
var jobs atomic.Uint64

// workerMetrics are a worker's own, where TEST_METRICS names a file: what is in it
// says how they are given.
func workerMetrics() []worker.Option {
	path := os.Getenv("TEST_METRICS")
	if path == "" {
		return nil
	}
	return []worker.Option{worker.WithMetrics(func() ([]byte, error) {
		how, _ := os.ReadFile(path)
		if string(how) == "rubbish" {
			return []byte("\x00{{{ no metrics"), nil
		}
		n := jobs.Load()
		return fmt.Appendf(nil, `# TYPE jobs_total counter
jobs_total{kind="http"} %d
# TYPE job_seconds histogram
job_seconds_bucket{le="0.1"} %d
job_seconds_bucket{le="+Inf"} %d
job_seconds_sum %d
job_seconds_count %d
# TYPE job_queue gauge
job_queue 7
tine_mine 1
`, n, n, n, n, n), nil
	})}
}

// scraper asks as Prometheus does.
type scraper struct {
	t testing.TB
	h http.Handler
}

func (m *master) scraper() *scraper {
	g := metrics.New(m.s.server.Measured(), m.s.logs.With().Logger())
	return &scraper{m.t, g.Handler()}
}

type exposition map[string]*dto.MetricFamily

func parseExposition(t testing.TB, r io.Reader) exposition {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	all, err := p.TextToMetricFamilies(r)
	if err != nil {
		t.Fatalf("not valid: %v", err)
	}
	return all
}

func (s *scraper) scrape() exposition {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		s.t.Fatalf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return parseExposition(s.t, w.Body)
}

// value sums the series of a name that have all labels, as name=value.
func (e exposition) value(name string, labels ...string) (v float64) {
	for _, m := range e[name].GetMetric() {
		if !hasLabels(m, labels) {
			continue
		}
		switch {
		case m.Counter != nil:
			v += m.Counter.GetValue()
		case m.Gauge != nil:
			v += m.Gauge.GetValue()
		case m.Histogram != nil:
			v += float64(m.Histogram.GetSampleCount())
		}
	}
	return v
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		if !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName()+"="+l.GetValue() == want }) {
			return false
		}
	}
	return true
}

// notBelow checks that nothing that grows has gone back.
func notBelow(t *testing.T, before, now exposition) {
	t.Helper()
	for name, f := range before {
		if k := f.GetType(); k != dto.MetricType_COUNTER && k != dto.MetricType_HISTOGRAM {
			continue
		}
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			one := exposition{name: {Metric: []*dto.Metric{m}}}
			if old, v := one.value(name), now.value(name, labels...); v < old {
				t.Errorf("%s%v went back from %v to %v", name, labels, old, v)
			}
		}
	}
}

// measuredMaster has workers with metrics of their own.
func measuredMaster(t testing.TB, workers int, change func(*config.Config)) (m *master, how string) {
	how = t.TempDir() + "/metrics"
	m = startMaster(t, func(c *config.Config) {
		c.Apps[0].Workers = workers
		c.Apps[0].Env["TEST_METRICS"] = how
		if change != nil {
			change(c)
		}
	})
	return m, how
}

// requests asks n times and returns when the scoreboard has them all.
func (m *master) requests(n int) {
	m.t.Helper()
	st, err := m.Status(bounded(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for range n {
		res, err := client.Get("http://" + strings.TrimPrefix(st.Apps[0].Listen[0], "tcp://"))
		if err != nil {
			m.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}

func (m *master) worker(slot int) api.Worker {
	m.t.Helper()
	st, err := m.Status(bounded(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, w := range st.Apps[0].Workers {
		if w.Slot == slot {
			return w
		}
	}
	m.t.Fatalf("no worker in slot %d", slot)
	return api.Worker{}
}

// until scrapes until ok.
func (s *scraper) until(what string, ok func(exposition) bool) exposition {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		e := s.scrape()
		if ok(e) {
			return e
		}
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // nothing tells what the scoreboard counts
	}
}

func TestMetricsTellOfAllThereIs(t *testing.T) {
	m, _ := measuredMaster(t, 2, nil)
	if _, err := m.SetValue(bounded(t), "users", []byte("[]")); err != nil {
		t.Fatal(err)
	}
	m.requests(10)
	s := m.scraper()
	e := s.until("all requests are told", func(e exposition) bool { return e.value("tine_slot_requests_total", "class=2xx") == 10 })
	for name, want := range map[string]float64{
		"tine_build_info": 1, "tine_app_workers_desired": 2, "tine_app_workers_ready": 2, "tine_app_generation": 1, "tine_steering_info": 1,
		"tine_cache_values": 1, "tine_cache_bytes": 2, "tine_cache_epoch": 1, "tine_app_request_duration_seconds": 10,
		"jobs_total": 10, "job_seconds": 10, "job_queue": 14, "tine_slot_accepted_connections_total": 10,
	} {
		if v := e.value(name); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{"tine_uptime_seconds", "tine_slot_resident_memory_bytes", "tine_slot_sent_bytes_total", "go_goroutines", "process_cpu_seconds_total"} {
		if e[name] == nil || name != "process_cpu_seconds_total" && e.value(name) <= 0 {
			t.Errorf("%s is %v", name, e.value(name))
		}
	}
	if e["tine_mine"] != nil || e.value("tine_scrape_failures_total", "reason=name") == 0 {
		t.Error("a name of tine's own is not left out, or not said")
	}
	if got := e.value("job_queue", "slot=1", "app=web"); got != 7 {
		t.Errorf("job_queue of slot 1 is %v", got)
	}
	s.until("the log says what is left out", func(exposition) bool { return strings.Contains(m.log.String(), `"detail":"tine_mine"`) })
}

// TestMetricsNeverGoBack: over a kill and a rollout, and stop and start.
func TestMetricsNeverGoBack(t *testing.T) {
	m, _ := measuredMaster(t, 2, nil)
	s := m.scraper()
	m.requests(8)
	last := s.until("8 requests", func(e exposition) bool { return e.value("tine_slot_requests_total") == 8 && e.value("jobs_total") == 8 })
	next := func(what string, ok func(exposition) bool) {
		t.Helper()
		now := s.until(what, func(e exposition) bool {
			notBelow(t, last, e)
			last = e
			return ok(e)
		})
		notBelow(t, last, now)
	}
	victim := m.worker(0)
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next("restarted", func(e exposition) bool {
		return e.value("tine_app_crashes_total") == 1 && e.value("tine_app_restarts_total") == 1 && e.value("tine_app_workers_ready") == 2
	})
	m.requests(4)
	next("12 requests", func(e exposition) bool {
		return e.value("tine_slot_requests_total") == 12 && e.value("jobs_total") == 12
	})
	if err := m.Do(bounded(t), api.Order{Verb: api.VerbReload, App: "web"}, nil); err != nil {
		t.Fatal(err)
	}
	m.requests(4)
	next("16 requests", func(e exposition) bool {
		return e.value("tine_slot_requests_total") == 16 && e.value("jobs_total") == 16 && e.value("tine_app_rollouts_total", "outcome=done") == 1
	})
	for _, verb := range []string{api.VerbStop, api.VerbStart} {
		if err := m.Do(bounded(t), api.Order{Verb: verb, App: "web"}, nil); err != nil {
			t.Fatal(err)
		}
		next(verb, func(e exposition) bool {
			return e.value("tine_slot_requests_total") == 16 && e.value("jobs_total") == 16 && e.value("job_seconds") == 16
		})
	}
	if h := last["tine_app_request_duration_seconds"].Metric[0].GetHistogram(); h.GetSampleCount() != 16 || h.GetSampleSum() <= 0 {
		t.Errorf("%d requests of %v s", h.GetSampleCount(), h.GetSampleSum())
	}
}

// TestMetricsWhileAWorkerHangs: bounded, partial, and it says so.
func TestMetricsWhileAWorkerHangs(t *testing.T) {
	m, _ := measuredMaster(t, 2, func(c *config.Config) { c.Apps[0].StallTimeout = 0 })
	s := m.scraper()
	m.requests(6)
	last := s.until("6 jobs", func(e exposition) bool { return e.value("jobs_total") == 6 && e.value("tine_slot_requests_total") == 6 })
	w := m.worker(1)
	if err := syscall.Kill(w.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(w.PID, syscall.SIGCONT) }()
	began := time.Now()
	e := s.scrape()
	took := time.Since(began)
	t.Logf("%v with a stopped worker", took)
	if took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	notBelow(t, last, e)
	if e.value("tine_scrape_workers", "result=silent") != 1 || e.value("tine_scrape_workers", "result=answered") != 1 || e.value("tine_scrape_failures_total", "reason=no answer") != 1 {
		t.Errorf("it does not say that one is missing: %v", e["tine_scrape_failures_total"])
	}
	if e.value("jobs_total") != 6 || e.value("job_queue", "slot=1") != 0 || e.value("job_queue", "slot=0") != 7 {
		t.Errorf("jobs %v, queue %v", e.value("jobs_total"), e["job_queue"])
	}
	if err := syscall.Kill(w.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.until("it answers again", func(e exposition) bool { return e.value("tine_scrape_workers", "result=answered") == 2 })
}

func TestMetricsOfRubbish(t *testing.T) {
	m, how := measuredMaster(t, 1, nil)
	s := m.scraper()
	m.requests(3)
	last := s.until("3 jobs", func(e exposition) bool { return e.value("jobs_total") == 3 })
	if err := os.WriteFile(how, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := s.scrape()
	notBelow(t, last, e)
	if e.value("jobs_total") != 3 || e["job_queue"] != nil || e.value("tine_scrape_failures_total", "reason=format") != 1 {
		t.Errorf("jobs %v, failures %v", e.value("jobs_total"), e["tine_scrape_failures_total"])
	}
}

// TestMetricsOverTheSocketAndTCP also looks at what else is there.
func TestMetricsOverTheSocketAndTCP(t *testing.T) {
	path := t.TempDir() + "/tine.sock"
	m := startMaster(t, func(c *config.Config) { c.Metrics.Listen = "127.0.0.1:0" }, WithControl(path))
	c := control.NewClient(path)
	defer c.Close()
	text, err := c.Metrics(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if e := parseExposition(t, bytes.NewReader(text)); e.value("tine_app_workers_ready") != 2 {
		t.Errorf("%.400s", text)
	}
	address := ""
	for line := range strings.SplitSeq(m.log.String(), "\n") { // long before it was ready
		if strings.Contains(line, `"message":"metrics"`) {
			_, rest, _ := strings.Cut(line, `"address":"`)
			address, _, _ = strings.Cut(rest, `"`)
		}
	}
	tcp := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for path, want := range map[string]int{"/metrics": 200, "/v1/status": 404, "/": 404} {
		res, err := tcp.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
		if want == 200 {
			parseExposition(t, res.Body)
		}
		res.Body.Close()
	}
}

func TestProfilesOfAllWorkersAreOne(t *testing.T) {
	path := t.TempDir() + "/tine.sock"
	startMaster(t, nil, WithControl(path))
	c := control.NewClient(path)
	defer c.Close()
	get := func(query string) ([]byte, error) {
		body, err := c.Get(bounded(t), "/v1/profile", mustQuery(t, query), "application/octet-stream")
		if err != nil {
			return nil, err
		}
		defer body.Close()
		return io.ReadAll(body)
	}
	for _, query := range []string{"kind=goroutine", "app=web&kind=heap", "kind=cpu&seconds=1"} {
		data, err := get(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := profile.ParseData(data)
		if err == nil {
			err = p.CheckValid()
		}
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		slots := map[string]bool{}
		for _, sample := range p.Sample {
			for _, slot := range sample.Label["slot"] {
				slots[slot] = true
			}
		}
		if strings.Contains(query, "goroutine") && (!slots["0"] || !slots["1"]) {
			t.Errorf("%s: of slots %v", query, slots)
		}
		if len(p.Comments) > 0 {
			t.Errorf("%s: %v", query, p.Comments)
		}
	}
	if trace, err := get("kind=trace&slot=1&seconds=1"); err != nil || !bytes.HasPrefix(trace, []byte("go 1.")) {
		t.Errorf("trace: %v %.20q", err, trace)
	}
	for query, want := range map[string]string{
		"kind=trace": "a trace is of one slot: which one?", "kind=hepa": `there is no profile "hepa": there are cpu, heap, goroutine, allocs, block, mutex, threadcreate, trace (did you mean heap?)`,
		"app=wev": `there is no app "wev" (did you mean web?)`, "slot=7": "app web has no ready worker in slot 7",
		"seconds=61": `seconds is a number from 1 to 60, not "61"`, "sedonds=1": `there is no parameter "sedonds" (did you mean seconds?)`,
	} {
		if _, err := get(query); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

// TestMetricsOf64Workers: all of them answer one scrape. How long it takes is a figure of make bench.
func TestMetricsOf64Workers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 64 processes")
	}
	m, _ := measuredMaster(t, 64, nil)
	s := m.scraper()
	for range 3 {
		if n := s.scrape().value("tine_scrape_workers", "result=answered"); n != 64 {
			t.Fatalf("%v have answered", n)
		}
	}
}

// BenchmarkMetricsOf64Workers is a scrape, without the way to the client.
func BenchmarkMetricsOf64Workers(b *testing.B) {
	m, _ := measuredMaster(b, 64, nil)
	s := m.scraper()
	for b.Loop() {
		s.scrape()
	}
}

func mustQuery(t *testing.T, text string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/tinehq/tine/ipc"
)

// program is a registry, and what it said.
type program struct {
	t        *testing.T
	r        *registry
	failures map[string]int
}

func newProgram(t *testing.T) *program {
	p := &program{t: t, failures: map[string]int{}}
	p.r = &registry{app: "web", series: map[string]*series{}, failed: func(reason, _ string) { p.failures[reason]++ }}
	return p
}

// scrape has workers 1.. in slots 0.. answer; "" does not answer, "gone" is none.
func (p *program) scrape(texts ...string) string {
	p.t.Helper()
	var workers []Worker
	var answers []answer
	for i, text := range texts {
		if text == "gone" {
			continue
		}
		w := Worker{Slot: i, ID: uint64(i + 1), Ready: true}
		workers = append(workers, w)
		if text != "" {
			answers = append(answers, answer{w, []byte(text)})
		}
	}
	out := families{}
	p.r.take(out, workers, answers)
	return p.text(out)
}

func (p *program) text(out families) string {
	p.t.Helper()
	var b strings.Builder
	for _, f := range out.list() {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			p.t.Fatal(err)
		}
	}
	if _, err := parse([]byte(b.String())); err != nil {
		p.t.Fatalf("not valid: %v\n%s", err, b.String())
	}
	return b.String()
}

func expectLines(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
}

func counter(n int) string { return fmt.Sprintf("# TYPE jobs counter\njobs{kind=\"a\"} %d\n", n) }

func TestCountersAreSummedAndKept(t *testing.T) {
	p := newProgram(t)
	total := func(want int, texts ...string) {
		t.Helper()
		expectLines(t, p.scrape(texts...), fmt.Sprintf(`jobs{app="web",kind="a"} %d`, want))
	}
	total(5, counter(2), counter(3))
	total(7, counter(4), "")     // silent: as it was
	total(9, counter(6), "gone") // its 3 stay
	total(10, counter(6), "gone", counter(1))
	total(12, counter(2), "gone", counter(1)) // it began anew: 6 + 3 + 2 + 1
	total(12, "gone", "gone", "gone")
}

func TestHistogramsOfOtherBounds(t *testing.T) {
	p := newProgram(t)
	h := func(sum float64, buckets ...string) string {
		text := "# TYPE lat histogram\n"
		for _, b := range buckets {
			le, n, _ := strings.Cut(b, ":")
			text += fmt.Sprintf("lat_bucket{le=%q} %s\n", le, n)
		}
		_, n, _ := strings.Cut(buckets[len(buckets)-1], ":")
		return text + fmt.Sprintf("lat_sum %v\nlat_count %s\n", sum, n)
	}
	expectLines(t, p.scrape(h(3, "1:2", "2:3", "+Inf:4"), h(1, "1:1", "2:1", "+Inf:1")),
		`lat_bucket{app="web",le="1"} 3`, `lat_bucket{app="web",le="2"} 4`, `lat_bucket{app="web",le="+Inf"} 5`, `lat_sum{app="web"} 4`, `lat_count{app="web"} 5`)
	// The next version has a bound between and none at 2.
	expectLines(t, p.scrape("gone", h(1, "1:1", "2:1", "+Inf:1"), h(2, "1:1", "1.5:2", "+Inf:3")),
		`lat_bucket{app="web",le="1"} 4`, `lat_bucket{app="web",le="1.5"} 5`, `lat_bucket{app="web",le="2"} 6`, `lat_bucket{app="web",le="+Inf"} 8`, `lat_count{app="web"} 8`)
}

func TestGaugesAreBySlot(t *testing.T) {
	p := newProgram(t)
	text := "# TYPE queue gauge\nqueue{slot=\"x\",app=\"y\",exported_app=\"z\"} 3\nloose 4\n"
	expectLines(t, p.scrape(text, text),
		`loose{app="web",slot="0"} 4`, `loose{app="web",slot="1"} 4`,
		`queue{app="web",exported_app="y",exported_exported_app="z",exported_slot="x",slot="0"} 3`)
	// Both workers of a slot: the newer one counts.
	out := families{}
	p.r.take(out, []Worker{{Slot: 0, ID: 8}, {Slot: 0, ID: 9}}, []answer{{Worker{Slot: 0, ID: 9}, []byte("loose 9\n")}, {Worker{Slot: 0, ID: 8}, []byte("loose 8\n")}})
	if got := p.text(out); !strings.Contains(got, `loose{app="web",slot="0"} 9`) || strings.Contains(got, "} 8") {
		t.Error(got)
	}
}

func TestSummariesLoseTheirQuantiles(t *testing.T) {
	text := "# TYPE gc summary\ngc{quantile=\"0.5\"} 1\ngc_sum 3\ngc_count 2\n"
	got := newProgram(t).scrape(text, text)
	expectLines(t, got, `gc_sum{app="web"} 6`, `gc_count{app="web"} 4`)
	if strings.Contains(got, "quantile") {
		t.Error(got)
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	for reason, text := range map[string]string{
		"format": "jobs{ 1\n",
		"name":   "tine_up 1\n",
		"value":  "# TYPE a counter\na NaN\n",
		"type":   "# TYPE jobs gauge\njobs{kind=\"a\"} 3\n",
	} {
		p := newProgram(t)
		got := p.scrape(text, counter(1))
		if p.failures[reason] != 1 || len(p.failures) != 1 {
			t.Errorf("%s: failures %v", reason, p.failures)
		}
		expectLines(t, got, `jobs{app="web",kind="a"} 1`)
	}
	for _, text := range []string{
		"# TYPE a counter\na -1\n", "# TYPE a counter\na +Inf\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_sum 1\nh_count 3\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_sum 1\nh_count 2\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_sum NaN\nh_count 3\n",
	} {
		p := newProgram(t)
		if got := p.scrape(text); p.failures["value"] != 1 || got != "" {
			t.Errorf("%q: %v %s", text, p.failures, got)
		}
	}
	p := newProgram(t)
	p.scrape(strings.Repeat(" ", maxText+1))
	if p.failures["format"] != 1 {
		t.Error(p.failures)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	p := newProgram(t)
	var b strings.Builder
	b.WriteString("# TYPE user_total counter\n")
	for i := range maxSeries + 10 {
		fmt.Fprintf(&b, "user_total{id=\"%d\"} 1\n", i)
	}
	p.scrape(b.String())
	if len(p.r.series) != maxSeries || p.failures["series"] != 1 {
		t.Errorf("%d series, %v", len(p.r.series), p.failures)
	}
}

// TestSumsDoNotGoBackByRounding: the order in which three thirds are added changes.
func TestSumsDoNotGoBackByRounding(t *testing.T) {
	s := func(v float64) string { return fmt.Sprintf("# TYPE c counter\nc %v\n", v) }
	p := newProgram(t)
	texts := []string{s(0.1), s(0.2), s(0.3), s(1e16), s(0.7)}
	var last float64
	for i := range texts {
		out := families{}
		var workers []Worker
		var answers []answer
		for j := i; j < len(texts); j++ {
			w := Worker{ID: uint64(len(texts) - j)}
			workers, answers = append(workers, w), append(answers, answer{w, []byte(texts[j])})
		}
		p.r.take(out, workers, answers)
		v := out["c"].Metric[0].Counter.GetValue()
		if v < last {
			t.Errorf("%v after %v", v, last)
		}
		last = v
	}
}

func TestLatenciesOfTheScoreboard(t *testing.T) {
	var h ipc.Histogram
	h[ipc.Bucket(1000)], h[ipc.Bucket(3e6)], h[ipc.Bucket(math.MaxInt64)] = 1, 10, 2
	d := latencies(&h)
	if d.GetSampleCount() != 13 || math.Abs(d.GetSampleSum()-(10*3e-3+2*64)) > 2*64/16 {
		t.Errorf("%d in %v s", d.GetSampleCount(), d.GetSampleSum())
	}
	var before float64
	for _, b := range d.Bucket {
		want := uint64(1)
		if b.GetUpperBound() > 3e-3 {
			want = 11
		}
		if b.GetCumulativeCount() != want || b.GetUpperBound() <= before {
			t.Errorf("%d up to %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), want)
		}
		before = b.GetUpperBound()
	}
	if n := len(d.Bucket); n != 39 {
		t.Errorf("%d buckets", n)
	}
}

func FuzzRegistry(f *testing.F) {
	f.Add([]byte(counter(1)), []byte("# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := newProgram(t)
		p.scrape(string(a)+"", string(b)+"")
		p.scrape("gone", string(a)+"")
	})
}

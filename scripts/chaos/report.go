package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tinehq/tine/scripts/internal/numbered"
	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// memoryBound is how much the master may have grown, in KiB.
const memoryBound = 32 << 10

// report is all that a run found.
type report struct {
	options       options
	journal       *journal
	judge         *judge
	started       time.Time
	before, after health
	load          [kinds]counts
	monkey        map[string]int
	log           map[string]int
	stopTook      time.Duration
	storm         calm
	upgrades      calm
	lines         numbered.Count
	mastersKilled int
	problems      []error
}

func (r *report) problem(err error) {
	if err == nil {
		return
	}
	r.problems = append(r.problems, err)
	r.journal.add("✗ " + err.Error())
}

// compare returns an error if keeper or master has grown.
func (r *report) compare() error {
	return errors.Join(r.grown("the keeper", r.before.keeper, r.after.keeper), r.grown("the master", r.before.master, r.after.master))
}

func (r *report) grown(who string, b, a usage) error {
	switch {
	case a.files > b.files:
		return fmt.Errorf("%s has %d open files at rest, %d in the beginning\n  now    %s\n  before %s", who, a.files, b.files, a.kinds, b.kinds)
	case a.threads > b.threads+32:
		return fmt.Errorf("%s has %d threads at rest, %d in the beginning", who, a.threads, b.threads)
	case !r.options.race && a.rss > b.rss+memoryBound:
		return fmt.Errorf("%s has %d MiB at rest, %d in the beginning", who, a.rss>>10, b.rss>>10)
	}
	return nil
}

func (r *report) passed() bool {
	lost, _, _ := r.judge.verdict()
	return len(lost) == 0 && len(r.problems) == 0
}

// shownLosses bounds how many losses are explained; the table counts all.
const shownLosses = 5

func (r *report) print(out io.Writer) {
	lost, late, inFlight := r.judge.verdict()
	lostOf := [kinds]int{}
	for _, f := range lost {
		lostOf[f.kind]++
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nclients\trequests\tconnections\tclosed idle\tp50\tp99\tmax\tfailed\tlost\t\n")
	var all counts
	for k := range kinds {
		r.row(w, k.String(), &r.load[k], lostOf[k])
		all.add(&r.load[k])
	}
	slices.Sort(all.latencies)
	r.row(w, "all", &all, len(lost))
	w.Flush()

	fmt.Fprintf(out, "\nfailures     %d in flight in killed workers (excused; %d workers killed with %d connections), %d late (excused), %d lost\n",
		inFlight, len(r.judge.kills), r.judge.held(), len(late), len(lost))
	fmt.Fprintf(out, "outcomes     %s\n", outcomes(&all))
	fmt.Fprintf(out, "done         %s\n", list(r.monkey))
	log := map[string]int{}
	for _, k := range []string{"ready", "exited", "rollout done", "rollout aborted", "rollout queued", "scaled", "retired", "backoff", "configuration applied", "adopted the workers of the last master"} {
		log[k] = r.log[k]
	}
	fmt.Fprintf(out, "log          %s\n", list(log))
	for _, c := range []*calm{&r.storm, &r.upgrades} {
		if c.tries > 0 {
			fmt.Fprintf(out, "in a row     %v\n", c)
		}
	}
	fmt.Fprintf(out, "lines        %d of %d workers, %d lost, %d twice; %d masters killed\n", r.lines.Written, r.lines.Processes, r.lines.Missing, r.lines.Twice, r.mastersKilled)
	use := func(name string, b, a usage) {
		fmt.Fprintf(out, "%-12s files %d → %d, threads %d → %d, memory %.1f → %.1f MiB\n", name, b.files, a.files, b.threads, a.threads,
			float64(b.rss)/1024, float64(a.rss)/1024)
	}
	use("keeper", r.before.keeper, r.after.keeper)
	use("master", r.before.master, r.after.master)
	fmt.Fprintf(out, "workers      files %v → %v\n", r.before.workers, r.after.workers)
	fmt.Fprintf(out, "stop         %v\n", r.stopTook.Round(time.Millisecond))

	for _, f := range late {
		fmt.Fprintf(out, "late         %v, after %v of idleness\n", &f, f.idle.Round(time.Millisecond))
	}
	for _, f := range lost[:min(len(lost), shownLosses)] {
		fmt.Fprintf(out, "\n%s", r.judge.explain(f))
	}
	for _, err := range r.problems {
		fmt.Fprintf(out, "\nPROBLEM %v\n", err)
	}
	verdict := "PASS"
	if !r.passed() {
		verdict = "FAIL"
	}
	fmt.Fprintf(out, "\n%s: seed %d, %v, %d requests, %d lost, %d problems\n", verdict, r.options.seed,
		time.Since(r.started).Round(100*time.Millisecond), all.requests, len(lost), len(r.problems))
}

func (r *report) row(w io.Writer, name string, c *counts, lost int) {
	at := func(p float64) time.Duration {
		if len(c.latencies) == 0 {
			return 0
		}
		return c.latencies[int(p*float64(len(c.latencies)-1))].Round(10 * time.Microsecond)
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%v\t%v\t%v\t%d\t%d\t\n", name, c.requests, c.connections, c.closedIdle, at(.5), at(.99), at(1),
		c.requests-c.outcomes[rawhttp.OK], lost)
}

func outcomes(c *counts) string {
	var parts []string
	for _, o := range rawhttp.Outcomes() {
		if n := c.outcomes[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, o))
		}
	}
	return strings.Join(parts, ", ")
}

func list(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}

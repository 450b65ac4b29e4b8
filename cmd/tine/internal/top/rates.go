package top

import (
	"math"
	"strings"

	"github.com/tinehq/tine/supervisor/control/api"
)

// minute is the length of a history, in seconds.
const minute = 60

// rates turns the counters of status documents into numbers a second, by the difference of two of them.
type rates struct {
	pid    int     // of the master that was asked
	uptime float64 // of that master at the last document, in seconds by its own clock
	by     map[slotKey]*rate
}

// slotKey is a slot of an app or, with wholeApp, the app.
type slotKey struct {
	app  string
	slot int
}

const wholeApp = -2 // -1 is a standby

// rate is the rate of one slot or app.
type rate struct {
	requests, errors  uint64
	perSecond, failed float64   // requests a second, and those answered with 500 and above
	history           []float64 // perSecond for each of the last seconds, at most minute
	seen              bool
}

// add takes the next document. A counter that has gone back, because its app was started again, starts anew; with a document
// of another master all do.
func (r *rates) add(st api.Status) {
	span := st.UptimeS - r.uptime
	if r.by == nil || st.PID != r.pid || span < 0 {
		*r = rates{by: map[slotKey]*rate{}}
		span = 0
	}
	r.pid, r.uptime = st.PID, st.UptimeS
	for _, was := range r.by {
		was.seen = false
	}
	for _, a := range st.Apps {
		slots := map[int][2]uint64{}
		for _, w := range a.Workers {
			n := slots[w.Slot] // during a surge a slot has two workers
			slots[w.Slot] = [2]uint64{n[0] + w.Requests, n[1] + w.Errors}
		}
		var all rate
		for slot, n := range slots {
			one := r.count(slotKey{a.Name, slot}, n[0], n[1], span)
			all.perSecond += one.perSecond
			all.failed += one.failed
		}
		r.of(slotKey{a.Name, wholeApp}).push(all.perSecond, all.failed, span)
	}
	for key, one := range r.by {
		if !one.seen {
			delete(r.by, key)
		}
	}
}

func (r *rates) of(key slotKey) *rate {
	one := r.by[key]
	if one == nil {
		one = &rate{}
		r.by[key] = one
	}
	return one
}

func (r *rates) count(key slotKey, requests, errors uint64, span float64) *rate {
	_, known := r.by[key]
	one := r.of(key)
	var perSecond, failed float64
	if known && span > 0 && requests >= one.requests && errors >= one.errors {
		perSecond = float64(requests-one.requests) / span
		failed = float64(errors-one.errors) / span
	}
	one.requests, one.errors = requests, errors
	one.push(perSecond, failed, span)
	return one
}

// push appends a rate that holds for the last span seconds.
func (r *rate) push(perSecond, failed, span float64) {
	r.perSecond, r.failed, r.seen = perSecond, failed, true
	for range min(int(math.Round(span)), minute) {
		r.history = append(r.history, perSecond)
	}
	if more := len(r.history) - minute; more > 0 {
		r.history = r.history[more:]
	}
}

// get returns the rate of a key; zero where there is none.
func (r *rates) get(key slotKey) rate {
	if one := r.by[key]; one != nil {
		return *one
	}
	return rate{}
}

var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws values as bars in width columns, relative to the largest, the newest at the right. With more values than
// columns a column is the mean of several; with fewer, spaces come first.
func sparkline(values []float64, width int) string {
	if width <= 0 {
		return ""
	}
	columns := min(width, len(values))
	means := make([]float64, columns)
	top := 0.0
	for i := range means {
		from, to := i*len(values)/columns, (i+1)*len(values)/columns
		for _, v := range values[from:to] {
			means[i] += v / float64(to-from)
		}
		top = max(top, means[i])
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-columns))
	for _, v := range means {
		i := 0
		if top > 0 && v > 0 {
			i = 1 + int(v/top*float64(len(bars)-2)) // more than zero is never an empty bar
		}
		b.WriteRune(bars[min(i, len(bars)-1)])
	}
	return b.String()
}

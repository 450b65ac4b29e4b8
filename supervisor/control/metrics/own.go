package metrics

import (
	"runtime"
	"strconv"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control/api"
)

// maxValues bounds the cached values that have series of their own: workers may
// publish many. Beyond it, only the totals count the rest.
const maxValues = 1000

var states = []string{api.AppRunning, api.AppStopping, api.AppStopped, api.AppFinished, api.AppGaveUp, api.AppWaiting}

var classes = [ipc.Classes]string{"1xx", "2xx", "3xx", "4xx", "5xx", "unknown"}

// own adds the metrics of the master.
func (b builder) own(s *Snapshot) {
	b.gauge("tine_build_info", "The version of tine; always 1.", 1, pair{"version", s.Version}, pair{"goversion", runtime.Version()})
	b.gauge("tine_uptime_seconds", "Time since the master was started.", s.Uptime.Seconds())
	for i := range s.Apps {
		b.app(&s.Apps[i])
	}
	b.cache(s)
}

func (b builder) app(a *App) {
	app := pair{"app", a.Name}
	b.gauge("tine_app_info", "The namespace of an app; always 1.", 1, app, pair{"namespace", a.Namespace})
	for _, state := range states {
		b.gauge("tine_app_state", "1 for the state that an app is in, 0 for the others.", truth(a.State == state), app, pair{"state", state})
	}
	b.gauge("tine_app_workers_desired", "Workers that there should be.", float64(a.Desired), app)
	b.gauge("tine_app_workers_ready", "Workers that are ready.", float64(a.Ready), app)
	b.gauge("tine_app_standbys", "Workers that wait for a slot.", float64(a.Standbys), app)
	b.gauge("tine_app_generation", "Generation of the last completed rollout.", float64(a.Generation), app)
	b.counter("tine_app_restarts_total", "Unasked ends of workers that were followed by a new one.", a.Restarts, app)
	b.counter("tine_app_crashes_total", "Unasked ends of workers with a code other than 0 or by a signal.", a.Crashes, app)
	for outcome, n := range map[string]uint64{"done": a.Rolled, "aborted": a.Aborted, "cancelled": a.Cancelled} {
		b.counter("tine_app_rollouts_total", "Rollouts, by how they ended.", n, app, pair{"outcome", outcome})
	}
	b.gauge("tine_app_rollout_running", "Whether a rollout is under way.", truth(a.Rolling), app)
	b.gauge("tine_steering_info", "How connections are steered to slots; exact: just as the policy says. Always 1.", 1,
		app, pair{"kind", a.Steering}, pair{"policy", a.Policy}, pair{"exact", strconv.FormatBool(a.Exact)})
	for _, at := range a.Addresses {
		b.gauge("tine_app_address_reachable", "Whether clients on this machine would reach the app at an address, looked at each second.", truth(at.Reachable), app, pair{"address", at.Address})
	}
	b.counter("tine_steering_refused_connections_total", "Connections refused because all slots were full.", a.Refused, app)
	var all ipc.Histogram
	for n := range a.Slots {
		b.slot(a, n, app)
		all.Add(&a.Slots[n].Totals.Histogram)
	}
	all = b.steady.histogram(a.Name, all)
	h := latencies(&all)
	b.histogram("tine_app_request_duration_seconds", "Time from the begin of a request to the end of its answer. The sum is made of the middles of fine buckets.", h, app)
}

func (b builder) slot(a *App, n int, app pair) {
	s, slot := &a.Slots[n], pair{"slot", strconv.Itoa(n)}
	b.gauge("tine_slot_requests_in_flight", "Requests that are being answered.", float64(s.InFlight), app, slot)
	b.gauge("tine_slot_connections", "Connections that are open.", float64(s.Open), app, slot)
	b.gauge("tine_slot_oldest_request_seconds", "Age of the oldest request in flight; 0: none.", s.Oldest.Seconds(), app, slot)
	b.gauge("tine_slot_stalled", "Whether the slot's worker was seen to hang.", truth(s.Stalled), app, slot)
	b.gauge("tine_slot_resident_memory_bytes", "Memory of the slot's workers.", float64(s.RSS), app, slot)
	b.gauge("tine_slot_heap_bytes", "Heap in use of the slot's workers, as they tell.", float64(s.Totals.Heap), app, slot)
	b.gauge("tine_slot_goroutines", "Goroutines of the slot's workers, as they tell.", float64(s.Totals.Goroutines), app, slot)
	for i, class := range classes {
		b.counter("tine_slot_requests_total", "Requests that were answered, by the class of the answer.", s.Totals.Classes[i], app, slot, pair{"class", class})
	}
	b.counter("tine_slot_sent_bytes_total", "Bytes written to connections.", s.Totals.Sent, app, slot)
	b.counter("tine_slot_accepted_connections_total", "Connections that were accepted.", s.Totals.Opened, app, slot)
	b.counter("tine_slot_untracked_requests_total", "Requests that were too many to be followed one by one.", s.Totals.Late, app, slot)
}

func (b builder) cache(s *Snapshot) {
	bytes := 0
	for i, v := range s.Values {
		bytes += v.Bytes
		if i >= maxValues {
			continue
		}
		key := pair{"key", v.Key}
		b.counter("tine_cache_value_failures_total", "Attempts of a value's source that failed.", v.Failures, key)
		b.gauge("tine_cache_value_epoch", "Epoch of a value's last change; 0: it has no value yet.", float64(v.Epoch), key)
		if v.Epoch == 0 {
			continue
		}
		b.gauge("tine_cache_value_bytes", "Size of a value.", float64(v.Bytes), key)
		b.gauge("tine_cache_value_age_seconds", "Time since a value changed.", v.Age.Seconds(), key)
		b.gauge("tine_cache_value_checked_age_seconds", "Time since a value was set or confirmed by its source.", v.Checked.Seconds(), key)
	}
	b.gauge("tine_cache_epoch", "Epoch of the newest change of a cached value.", float64(s.Epoch))
	b.gauge("tine_cache_values", "Cached values, those without a value yet included.", float64(len(s.Values)))
	b.gauge("tine_cache_bytes", "Size of all cached values.", float64(bytes))
}

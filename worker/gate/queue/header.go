package queue

import (
	"net/http"
	"strconv"
	"time"
)

// DeadlineHeader says until when a client waits for its answer.
const DeadlineHeader = "X-Request-Deadline"

// Deadline is when the client of a request that came at now gives it up, as it says; zero: it does not say.
//
//	X-Request-Deadline: 1767268800000    the time in milliseconds since 1970, by the clocks of client and gateway
//	X-Request-Deadline: 500ms            from when the request came: a number and h, m, s, ms, us or ns, as Go writes a duration
//	grpc-timeout: 500m                   likewise: at most 8 digits and H, M, S, m (ms), u (us) or n (ns), as gRPC has it
//
// The earlier one counts where both are there. A value that is none of these says nothing.
func Deadline(h http.Header, now time.Time) time.Time {
	var at time.Time
	if values := h[DeadlineHeader]; len(values) > 0 {
		if ms, err := strconv.ParseInt(values[0], 10, 64); err == nil && ms >= 0 {
			// A deadline that is far in the past or the future would be no duration.
			at = now.Add(time.Duration(min(max(ms-now.UnixMilli(), -mostAway), mostAway)) * time.Millisecond)
		} else if d, err := time.ParseDuration(values[0]); err == nil {
			at = now.Add(d)
		}
	}
	if values := h["Grpc-Timeout"]; len(values) > 0 {
		if d, ok := grpcTimeout(values[0]); ok && (at.IsZero() || now.Add(d).Before(at)) {
			at = now.Add(d)
		}
	}
	return at
}

// mostAway bounds how far away a deadline is, in milliseconds: a day.
const mostAway = 24 * 60 * 60 * 1000

func grpcTimeout(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	unit, known := grpcUnits[text[len(text)-1]]
	if err != nil || !known {
		return 0, false
	}
	return time.Duration(min(n, mostAway*uint64(time.Millisecond)/uint64(unit))) * unit, true
}

var grpcUnits = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}

// Priority is that of a request by a header: one digit. A request without it, or with anything else, has DefaultPriority.
func Priority(h http.Header, name string) int {
	if values := h[name]; len(values) == 1 && len(values[0]) == 1 && values[0][0] >= '0' && values[0][0] <= '9' {
		return int(values[0][0] - '0')
	}
	return DefaultPriority
}

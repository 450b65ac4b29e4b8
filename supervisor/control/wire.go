package control

import (
	"net/url"
	"strconv"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// allApps stands for all apps where a path has an app's name.
const allApps = "-"

// What an answer with a cached value tells of it.
const (
	headerEpoch  = "Tine-Epoch"
	headerAge    = "Tine-Age-S"
	headerSource = "Tine-Source"
	headerError  = "Tine-Error"
)

// valueSet is the answer to a change of a cached value.
type valueSet struct {
	Epoch uint64 `json:"epoch"` // of the value: that of before if it was equal
}

// queryOf is q as the query of a request.
func queryOf(q api.LogQuery) url.Values {
	v := url.Values{}
	set := func(name, value string, isSet bool) {
		if isSet {
			v.Set(name, value)
		}
	}
	set("app", q.App, q.App != "")
	if q.Slot != nil {
		v.Set("slot", strconv.Itoa(*q.Slot))
	}
	set("stream", q.Stream, q.Stream != "")
	set("last", strconv.Itoa(max(q.Last, -1)), q.Last != 0)
	set("since", q.Since.Format(time.RFC3339Nano), !q.Since.IsZero())
	set("grep", q.Grep, q.Grep != "")
	set("follow", "true", q.Follow)
	set("after", strconv.FormatUint(q.After, 10), q.After != 0)
	return v
}

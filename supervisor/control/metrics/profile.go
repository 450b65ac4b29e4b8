package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/pprof/profile"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	methodProfile = "tine.profile"
	// MaxProfileSeconds bounds a profile that takes a while; DefaultProfileSeconds is
	// how long one takes if the request does not say.
	MaxProfileSeconds     = 60
	DefaultProfileSeconds = 10
	// profileGrace is the time that a worker has beside what it measures.
	profileGrace = 10 * time.Second
)

// The profile kinds. Trace is not one of pprof's, and cannot be merged.
const (
	ProfileCPU   = "cpu"
	ProfileTrace = "trace"
)

// ProfileKinds are all kinds, the most wanted first.
func ProfileKinds() []string {
	return []string{ProfileCPU, "heap", "goroutine", "allocs", "block", "mutex", "threadcreate", ProfileTrace}
}

// profileOrder is one request.
type profileOrder struct {
	app     string
	Kind    string `json:"kind"`
	Seconds int    `json:"seconds"`
	slot    int    // -1: all
}

// ProfileHandler answers with the profiles of all ready workers of an app, merged into
// one in pprof's format (gzip). Each sample has the labels slot and worker. What is
// missing, because a worker gave no profile, is said in the profile's comments. The
// query: app, where there are several; kind; seconds, 1 to 60, of cpu and trace (10 by
// default), of block and mutex (for programs that have these off); slot. A trace is that of one
// slot, as it is. One at a time: the next is answered with 409.
func (m *Metrics) ProfileHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := m.serveProfile(r.Context(), r.URL.RawQuery)
		if err != nil {
			var refusal *api.Refusal
			if !errors.As(err, &refusal) {
				refusal = api.Refuse(http.StatusBadGateway, "%v", err)
			}
			control.Problem(w, refusal)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data)
	})
}

func (m *Metrics) serveProfile(ctx context.Context, rawQuery string) ([]byte, error) {
	o, err := parseOrder(rawQuery)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	s, err := m.source.Snapshot(asking)
	if err != nil {
		return nil, api.Refuse(http.StatusServiceUnavailable, "cannot see who runs: %v", err)
	}
	workers, err := o.chosen(s)
	if err != nil {
		return nil, err
	}
	if !m.profile.TryLock() {
		return nil, api.Refuse(http.StatusConflict, "a profile is being made already")
	}
	defer m.profile.Unlock()
	return m.profiles(ctx, o, workers)
}

func wrong(field, format string, args ...any) *api.Refusal {
	r := api.Refuse(http.StatusBadRequest, format, args...)
	r.Field = field
	return r
}

func parseOrder(rawQuery string) (o profileOrder, err error) {
	o = profileOrder{Kind: ProfileCPU, slot: -1}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return o, wrong("", "the query cannot be read: %v", err)
	}
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return o, wrong(name, "%s is given %d times", name, len(values))
		}
		switch name {
		case "app":
			o.app = value
		case "kind":
			o.Kind = value
		case "seconds":
			if o.Seconds, err = strconv.Atoi(value); err != nil || o.Seconds < 1 || o.Seconds > MaxProfileSeconds {
				return o, wrong(name, "seconds is a number from 1 to %d, not %q", MaxProfileSeconds, value)
			}
		case "slot":
			if o.slot, err = strconv.Atoi(value); err != nil || o.slot < 0 {
				return o, wrong(name, "slot is a number from 0, not %q", value)
			}
		default:
			r := wrong(name, "there is no parameter %q", name)
			r.Suggestion = api.Nearest(name, []string{"app", "kind", "seconds", "slot"})
			return o, r
		}
	}
	if !slices.Contains(ProfileKinds(), o.Kind) {
		r := wrong("kind", "there is no profile %q: there are %s", o.Kind, strings.Join(ProfileKinds(), ", "))
		r.Suggestion = api.Nearest(o.Kind, ProfileKinds())
		return o, r
	}
	if o.Seconds == 0 && (o.Kind == ProfileCPU || o.Kind == ProfileTrace) {
		o.Seconds = DefaultProfileSeconds
	}
	return o, nil
}

// chosen are the workers that the order is for: of each slot the newest that is ready.
func (o *profileOrder) chosen(s *Snapshot) ([]Worker, error) {
	var names []string
	for _, a := range s.Apps {
		names = append(names, a.Name)
	}
	if o.app == "" {
		if len(names) != 1 {
			return nil, wrong("app", "which app? There is %s", strings.Join(names, ", "))
		}
		o.app = names[0]
	}
	i := slices.Index(names, o.app)
	if i < 0 {
		return nil, api.Unknown("app", o.app, names)
	}
	newest := map[int]Worker{}
	for _, w := range s.Apps[i].Workers {
		if w.Ready && (o.slot < 0 || o.slot == w.Slot) && w.ID > newest[w.Slot].ID {
			newest[w.Slot] = w
		}
	}
	var all []Worker
	for _, slot := range slices.Sorted(maps.Keys(newest)) {
		all = append(all, newest[slot])
	}
	switch {
	case len(all) == 0 && o.slot >= 0:
		return nil, api.Refuse(http.StatusNotFound, "app %s has no ready worker in slot %d", o.app, o.slot)
	case len(all) == 0:
		return nil, api.Refuse(http.StatusNotFound, "app %s has no ready worker", o.app)
	case o.Kind == ProfileTrace && len(all) > 1:
		return nil, wrong("slot", "a trace is of one slot: which one?")
	}
	return all, nil
}

// profiles asks the workers and merges their answers.
func (m *Metrics) profiles(ctx context.Context, o profileOrder, workers []Worker) ([]byte, error) {
	in, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for a profile: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.Seconds)*time.Second+profileGrace)
	defer cancel()
	replies := make([]reply, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { replies[i].text, replies[i].err = m.source.Call(ctx, o.app, w.ID, methodProfile, in) })
	}
	wg.Wait()
	if o.Kind == ProfileTrace {
		return replies[0].text, replies[0].err
	}
	return mergeProfiles(workers, replies)
}

// mergeProfiles makes one profile of those that were answered; if there is none, the
// first error.
func mergeProfiles(workers []Worker, replies []reply) ([]byte, error) {
	var all []*profile.Profile
	var missing []string
	var first error
	failed := func(w Worker, err error) {
		missing = append(missing, fmt.Sprintf("%s: slot %d, worker %d: %v", MissingComment, w.Slot, w.ID, err))
		if first == nil {
			first = err
		}
	}
	for i, w := range workers {
		p, err := labelled(w, replies[i])
		if err == nil && len(all) > 0 {
			// One that does not fit the others must not take them along.
			_, err = profile.Merge([]*profile.Profile{all[0], p})
		}
		if err != nil {
			failed(w, err)
			continue
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, first
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return nil, fmt.Errorf("cannot merge %d profiles: %w", len(all), err)
	}
	merged.Comments = append(merged.Comments, missing...)
	var out bytes.Buffer
	if err := merged.Write(&out); err != nil {
		return nil, fmt.Errorf("cannot write the merged profile: %w", err)
	}
	return out.Bytes(), nil
}

// MissingComment begins the comments of a merged profile that name the workers missing in it.
const MissingComment = "missing"

func labelled(w Worker, r reply) (p *profile.Profile, err error) {
	if r.err != nil {
		return nil, r.err
	}
	defer func() {
		if c := recover(); c != nil { // of a library, at what a stranger has written
			p, err = nil, fmt.Errorf("its profile cannot be read: %v", c)
		}
	}()
	data, err := unpacked(r.text)
	if err == nil {
		p, err = profile.ParseUncompressed(data)
	}
	if err != nil {
		return nil, fmt.Errorf("its profile cannot be read: %w", err)
	}
	p.SetLabel("slot", []string{strconv.Itoa(w.Slot)})
	p.SetLabel("worker", []string{strconv.FormatUint(w.ID, 10)})
	return p, nil
}

// maxUnpacked is the most that one worker's profile may have, in bytes: some hundred
// times those of a large program.
const maxUnpacked = 64 << 20

// unpacked undoes gzip, which can make much of little.
func unpacked(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err == nil && len(out) > maxUnpacked {
		err = fmt.Errorf("it has more than %d bytes", maxUnpacked)
	}
	return out, err
}

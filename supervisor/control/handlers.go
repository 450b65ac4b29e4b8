package control

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// status is the master's, with no list that is null.
func (rq *request) status() (api.Status, error) {
	st, err := rq.s.commander.Status(rq.r.Context())
	if err != nil {
		return st, err
	}
	st.Version = cmp.Or(st.Version, rq.s.options.Version)
	st.Apps = list(st.Apps)
	st.Cache.Values = list(st.Cache.Values)
	for i := range st.Apps {
		a := &st.Apps[i]
		a.Listen, a.SteeringNotes = list(a.Listen), list(a.SteeringNotes)
		a.Workers, a.Standbys = list(a.Workers), list(a.Standbys)
	}
	st.Steering = cmp.Or(st.Steering, SteeringOf(st.Apps))
	return st, nil
}

// SteeringOf is the kind of the first app that listens, else [api.SteeringNone].
func SteeringOf(apps []api.App) string {
	for _, a := range apps {
		if a.Steering != api.SteeringNone {
			return a.Steering
		}
	}
	return api.SteeringNone
}

func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func (rq *request) answer(doc any) error {
	writeJSON(rq.w, http.StatusOK, typeJSON, doc)
	return nil
}

func getStatus(rq *request) error {
	st, err := rq.status()
	if err != nil {
		return err
	}
	return rq.answer(st)
}

func getApps(rq *request) error {
	st, err := rq.status()
	if err != nil {
		return err
	}
	return rq.answer(st.Apps)
}

func (rq *request) app() (api.App, error) {
	st, err := rq.status()
	if err != nil {
		return api.App{}, err
	}
	name := rq.r.PathValue("app")
	var known []string
	for _, a := range st.Apps {
		if a.Name == name {
			return a, nil
		}
		known = append(known, a.Name)
	}
	return api.App{}, api.Unknown("app", name, known)
}

func getApp(rq *request) error {
	a, err := rq.app()
	if err != nil {
		return err
	}
	return rq.answer(a)
}

func getWorkers(rq *request) error {
	a, err := rq.app()
	if err != nil {
		return err
	}
	return rq.answer(a.Workers)
}

func getCache(rq *request) error {
	st, err := rq.status()
	if err != nil {
		return err
	}
	return rq.answer(st.Cache)
}

func getDecisions(rq *request) error {
	q := api.DecisionQuery{App: rq.query.text("app"), ID: rq.query.text("id"), Last: api.DefaultDecisions}
	if last := rq.query.integer("last"); last != nil {
		q.Last = min(*last, api.MostDecisions)
	}
	all, err := rq.s.commander.Decisions(rq.r.Context(), q)
	if err != nil {
		return err
	}
	all.Decisions, all.Silent = list(all.Decisions), list(all.Silent)
	return rq.answer(all)
}

func getGateways(rq *request) error {
	all, err := rq.s.commander.Gateways(rq.r.Context(), rq.query.text("app"))
	if err != nil {
		return err
	}
	all.Gateways, all.Silent = list(all.Gateways), list(all.Silent)
	return rq.answer(all)
}

func getHealth(rq *request) error {
	st, err := rq.status()
	if err != nil {
		return err
	}
	for _, a := range st.Apps {
		if len(a.Unreachable) > 0 && a.State == api.AppRunning {
			return api.Refuse(http.StatusServiceUnavailable, "the app %s is unreachable at %s: %s", a.Name, a.Unreachable[0].Address, a.Unreachable[0].Reason)
		}
		if a.State == api.AppGaveUp || a.State == api.AppRunning && a.Desired > 0 && a.Ready == 0 && !a.OneShot {
			return api.Refuse(http.StatusServiceUnavailable, "the app %s has no worker that is ready", a.Name)
		}
	}
	writeBody(rq.w, http.StatusOK, typeText, []byte("ok\n"))
	return nil
}

func getValue(rq *request) error {
	data, v, err := rq.s.commander.Value(rq.r.Context(), rq.r.PathValue("key"))
	if err != nil {
		return err
	}
	h := rq.w.Header()
	h.Set(headerEpoch, strconv.FormatUint(v.Epoch, 10))
	h.Set(headerAge, strconv.FormatFloat(v.AgeS, 'f', 3, 64))
	h.Set(headerSource, headerText(v.Source))
	if v.Error != "" {
		h.Set(headerError, headerText(v.Error))
	}
	writeBody(rq.w, http.StatusOK, typeBytes, data)
	return nil
}

// headerText is s as a header may carry it: printable ASCII, of at most 200 bytes.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}

func (rq *request) key() (string, error) {
	key := rq.r.PathValue("key")
	if key == "" {
		return "", api.Refuse(http.StatusBadRequest, "a cached value has a key: /v1/cache/KEY")
	}
	return key, nil
}

func putValue(rq *request) error {
	key, err := rq.key()
	if err != nil {
		return err
	}
	data, err := rq.readBody(maxValue)
	if err != nil {
		return err
	}
	epoch, err := rq.s.commander.SetValue(rq.r.Context(), key, data)
	if err != nil {
		return err
	}
	return rq.answer(valueSet{epoch})
}

func deleteValue(rq *request) error {
	key, err := rq.key()
	if err != nil {
		return err
	}
	if err := rq.s.commander.DeleteValue(rq.r.Context(), key); err != nil {
		return err
	}
	rq.w.WriteHeader(http.StatusNoContent)
	return nil
}

func drainMember(rq *request) error {
	d := api.MemberDrain{
		Gateway: rq.r.PathValue("app"), Member: rq.r.PathValue("member"), Reason: rq.query.text("reason"), Undo: rq.r.Method == http.MethodDelete,
	}
	if d.Member == "" {
		return api.Refuse(http.StatusBadRequest, "a member has a name: /v1/gateways/APP/drained/MEMBER")
	}
	rq.logOrder("drain member").Str("gateway", d.Gateway).Str("member", d.Member).Bool("undo", d.Undo).Msg("order")
	if err := rq.s.commander.DrainMember(rq.r.Context(), d); err != nil {
		return err
	}
	rq.w.WriteHeader(http.StatusNoContent)
	return nil
}

func getConfig(rq *request) error {
	yaml, err := rq.s.commander.Config(rq.r.Context())
	if err != nil {
		return err
	}
	writeBody(rq.w, http.StatusOK, typeYAML, yaml)
	return nil
}

func applyConfig(rq *request) error {
	dry := rq.query.bool("dry")
	rq.logOrder("config apply").Bool("dry", dry).Msg("order")
	result, err := rq.s.commander.Apply(rq.r.Context(), api.ApplyRequest{Dry: dry})
	if err != nil {
		return err
	}
	result.Changes = list(result.Changes)
	return rq.answer(result)
}

func getDoctor(rq *request) error {
	if rq.s.options.Doctor == nil {
		return api.Refuse(http.StatusNotImplemented, "this master does not have it")
	}
	return rq.answer(rq.s.options.Doctor())
}

//go:embed openapi.json
var openAPI []byte

func getOpenAPI(rq *request) error {
	writeBody(rq.w, http.StatusOK, typeJSON, openAPI)
	return nil
}

// accepts says whether the request names the type as one that it takes.
func (rq *request) accepts(contentType string) bool {
	for _, header := range rq.r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			kind, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(kind), contentType) {
				return true
			}
		}
	}
	return false
}

func getEvents(rq *request) error {
	after := rq.query.id("after")
	if last := rq.r.Header.Get("Last-Event-ID"); last != "" {
		id, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			r := api.Refuse(http.StatusBadRequest, "Last-Event-ID: %q is not an id", last)
			r.Field = "Last-Event-ID"
			return r
		}
		after = id
	}
	follow, given := value[bool](rq.query, "follow")
	sse := rq.accepts(typeEvents) || follow
	if !given {
		follow = sse
	}
	last := 0
	if n := rq.query.integer("last"); n != nil {
		last = *n
	}
	if !sse {
		kept, _, err := rq.keptEvents(rq.r.Context(), after, last)
		if err != nil {
			return err
		}
		return rq.answer(list(kept))
	}
	return rq.stream(typeEvents, headDelay, keepAlive, follow, func(ctx context.Context, st *stream) error {
		var item []byte
		yield := func(e api.Event) (err error) {
			e.Time = toMS(e.Time)
			if item, err = appendEvent(item[:0], e); err != nil {
				return err
			}
			return st.emit(ctx, item)
		}
		if last == 0 {
			return rq.s.commander.Events(ctx, after, follow, yield)
		}
		kept, newest, err := rq.keptEvents(ctx, after, last)
		if err != nil {
			return err
		}
		for _, e := range kept {
			if err := yield(e); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		return rq.s.commander.Events(ctx, newest, true, yield)
	})
}

// keptEvents returns the last so many (0: all, negative: none) of the events after an
// id that are kept, and the id of the newest of them all.
func (rq *request) keptEvents(ctx context.Context, after uint64, last int) (kept []api.Event, newest uint64, err error) {
	newest = after
	err = rq.s.commander.Events(ctx, after, false, func(e api.Event) error {
		newest = e.ID
		e.Time = toMS(e.Time)
		kept = append(kept, e)
		return nil
	})
	if last != 0 {
		kept = kept[len(kept)-min(len(kept), max(last, 0)):]
	}
	return kept, newest, err
}

func toMS(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

func getLogs(rq *request) error {
	q := api.LogQuery{
		App: rq.query.text("app"), Slot: rq.query.integer("slot"), Stream: rq.query.text("stream"),
		Since: rq.query.time("since"), Grep: rq.query.text("grep"),
		Follow: rq.query.bool("follow"), After: rq.query.id("after"),
	}
	if n := rq.query.integer("last"); n != nil {
		q.Last = *n
	}
	if _, err := regexp.Compile(q.Grep); err != nil {
		return badParam("grep", "%v", err)
	}
	head := time.Duration(0)
	if q.Follow { // a quiet log has begun as well
		head = headDelay
	}
	return rq.stream(typeLines, head, nil, q.Follow, func(ctx context.Context, st *stream) error {
		var item bytes.Buffer
		return rq.s.commander.Logs(ctx, q, func(l api.LogLine) error {
			item.Reset()
			l.Time = toMS(l.Time)
			if err := encode(&item, l); err != nil {
				return err
			}
			return st.emit(ctx, item.Bytes())
		})
	})
}

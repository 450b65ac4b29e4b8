package control

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
)

// order reads and checks an order, as far as that needs no knowledge of the apps.
func (rq *request) order(verb string) (api.Order, error) {
	var o api.Order
	data, err := rq.readBody(maxJSON)
	if err != nil {
		return o, err
	}
	given, err := decodeBody(data, &o, rq.route.fields)
	if err != nil {
		return o, err
	}
	o.Verb, o.App = verb, rq.r.PathValue("app")
	if o.App == allApps {
		o.App = ""
	}
	for _, name := range rq.route.needs {
		if !given[name] {
			return o, badField(name, "%s needs the field %q", verb, name)
		}
	}
	switch {
	case o.N < 0 && !o.By:
		return o, badField("n", "there cannot be %d workers", o.N)
	case o.Slot != nil && *o.Slot < 0:
		return o, badField("slot", "there is no slot %d", *o.Slot)
	case o.Slot != nil && o.App == "":
		return o, badField("slot", "a slot is of one app, and %q is all", allApps)
	case len(o.Reason) > api.MaxReason:
		return o, badField("reason", "the reason has %d bytes, and may have %d", len(o.Reason), api.MaxReason)
	case o.IfRunning != "" && o.IfRunning != api.IfRunningQueue && o.IfRunning != api.IfRunningRefuse:
		r := badField("if_running", "%q is neither %s nor %s", o.IfRunning, api.IfRunningQueue, api.IfRunningRefuse)
		r.Suggestion = api.Nearest(o.IfRunning, []string{api.IfRunningQueue, api.IfRunningRefuse})
		return o, r
	}
	o.Reason = cmp.Or(o.Reason, "control")
	return o, nil
}

func badField(name, format string, args ...any) *api.Refusal {
	r := api.Refuse(http.StatusBadRequest, format, args...)
	r.Field = name
	return r
}

// logOrder begins the line that says who ordered what.
func (rq *request) logOrder(verb string) *zerolog.Event {
	e := rq.s.log.Info().Str("verb", verb)
	if p, ok := rq.r.Context().Value(peerKey{}).(peer); ok {
		e = e.Int("peer_pid", p.pid).Int("peer_uid", p.uid)
	}
	return e
}

func postOrder(rq *request, verb string) error {
	o, err := rq.order(verb)
	if err != nil {
		return err
	}
	line := rq.logOrder(verb)
	if o.App != "" {
		line = line.Str("app", o.App)
	}
	line.Str("reason", o.Reason).Msg("order")

	if rq.accepts(typeLines) {
		return rq.streamOrder(o)
	}
	final, err := rq.do(rq.r.Context(), o, func(api.Progress) {})
	if err != nil {
		return err
	}
	if !final.OK {
		writeJSON(rq.w, http.StatusInternalServerError, typeJSON, final)
		return nil
	}
	return rq.answer(final)
}

func (rq *request) streamOrder(o api.Order) error {
	// A busy master may be slow to refuse, and a refusal has its own status.
	return rq.stream(typeLines, 0, nil, false, func(ctx context.Context, st *stream) error {
		var item bytes.Buffer
		send := func(p api.Progress) {
			item.Reset()
			if encode(&item, p) == nil {
				_ = st.emit(ctx, item.Bytes()) // a reader that has gone does not stop an order
			}
		}
		final, err := rq.do(ctx, o, send)
		if err != nil {
			return err
		}
		send(final)
		return nil
	})
}

// do carries an order out. It returns the final progress, which it makes from the error
// where the master gave none; an error means that the order was not begun, or that
// its caller does not wait any more.
func (rq *request) do(ctx context.Context, o api.Order, progress func(api.Progress)) (api.Progress, error) {
	var final *api.Progress
	begun := false
	err := rq.s.commander.Do(ctx, o, func(p api.Progress) {
		begun = true
		p.Time = toMS(p.Time)
		if p.Final {
			final = &p
			return
		}
		progress(p)
	})
	var refusal *api.Refusal
	if err != nil && (ctx.Err() != nil || errors.Is(err, api.ErrCut) || !begun && errors.As(err, &refusal)) {
		return api.Progress{}, err
	}
	if final == nil {
		final = &api.Progress{Time: toMS(time.Now()), App: o.App, Slot: o.Slot, Message: fmt.Sprintf("%s done", o.Verb)}
		if err != nil {
			final.Message = fmt.Sprintf("%s failed", o.Verb)
		}
	}
	final.Final, final.OK = true, err == nil
	if err != nil && final.Error == "" {
		final.Error = err.Error()
	}
	return *final, nil
}

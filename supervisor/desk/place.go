package desk

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/orders"
)

// stepsKept bounds the steps of a request that its caller has not taken yet.
const stepsKept = 256

// Ask hands a Message to the loop and returns the answer to it. It may be called from any goroutine but the loop's. It fails when the
// loop has ended.
type Ask func(with func(answer chan<- Begun) Message) (Begun, error)

// Begun answers a request: its orders have begun, or none has.
type Begun struct {
	Err     error // why none has; nil: they have
	parts   int
	results <-chan result
}

// ticket is a request on its way to the Desk.
type ticket struct {
	order  api.Order
	steps  chan<- api.Progress
	answer chan<- Begun
}

func (t ticket) Act(d *Desk) {
	d.crew.LookSoon(time.Now())
	d.step(orders.Placed{Request: d.callers.add(t.steps, t.answer), Order: t.order})
}

// Place has an order carried out, and waits for its end: of one order for each app that it is for. progress, which may be nil, is told
// the steps; its last call is Final, unless Place fails before anything has begun, or does not wait for the end: ctx ends the wait,
// not the order, and over is closed when the loop has ended.
func Place(ctx context.Context, ask Ask, over <-chan struct{}, o api.Order, progress func(api.Progress)) error {
	if progress == nil {
		progress = func(api.Progress) {}
	}
	steps := make(chan api.Progress, stepsKept)
	b, err := ask(func(answer chan<- Begun) Message { return ticket{o, steps, answer} })
	if err == nil {
		err = b.Err
	}
	if err != nil {
		return err
	}
	var last api.Progress
	failures, err := b.wait(ctx, over, steps, func(p api.Progress) { last = p; progress(p) })
	if err != nil {
		return err // the order goes on, and no caller is told how it ends
	}
	final := api.Progress{Time: time.Now().Round(time.Millisecond), App: o.App, Done: last.Done, Total: last.Total, Final: true, OK: len(failures) == 0}
	if final.OK {
		final.Done = final.Total
	}
	for _, err := range failures {
		final.Error = strings.TrimPrefix(final.Error+"; "+err.Error(), "; ")
		if e := (*orders.Error)(nil); errors.As(err, &e) && e.Worker != 0 {
			final.Worker, final.PID, final.Output, final.Slot = e.Worker, e.PID, e.Output, nil
			if e.Slot >= 0 {
				final.Slot = &e.Slot
			}
		}
	}
	progress(final)
	if len(failures) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

// Wait waits for the ends of the orders, and returns their failures in the order of the apps. err says why it does not wait any longer:
// that of ctx, or api.ErrCut when over is closed before the last end came.
func (b Begun) Wait(ctx context.Context, over <-chan struct{}) (failures []error, err error) {
	return b.wait(ctx, over, nil, nil)
}

func (b Begun) wait(ctx context.Context, over <-chan struct{}, steps <-chan api.Progress, progress func(api.Progress)) (failures []error, err error) {
	ends := make([]error, b.parts)
	for left := b.parts; left > 0; {
		select {
		case p := <-steps:
			progress(p)
		case r := <-b.results:
			ends[r.part] = r.err
			left--
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			for ; left > 0; left-- { // the last that the loop has told
				select {
				case r := <-b.results:
					ends[r.part] = r.err
				default:
					return nil, api.ErrCut
				}
			}
		}
	}
	for _, err := range ends {
		if err != nil {
			failures = append(failures, err)
		}
	}
	for { // what was told before the end
		select {
		case p := <-steps:
			progress(p)
		default:
			return failures, nil
		}
	}
}

package master

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/orders"
)

// progressKept bounds the steps of a request that its caller has not taken yet.
const progressKept = 256

// do has the loop carry out an order, and waits for its end: of one order for each app that it is for.
func (s *Supervisor) do(ctx context.Context, o control.Order, progress func(control.Progress)) error {
	if progress == nil {
		progress = func(control.Progress) {}
	}
	steps := make(chan control.Progress, progressKept)
	b, err := ask(context.Background(), s, func(answer chan<- begun) message { return placeOrder{o, steps, answer} })
	if err == nil {
		err = b.err
	}
	if err != nil {
		return err
	}
	var last control.Progress
	failures, err := s.await(ctx, b, steps, func(p control.Progress) { last = p; progress(p) })
	if err != nil {
		return err // the order goes on, and tells nobody
	}
	final := control.Progress{Time: time.Now().Round(time.Millisecond), App: o.App, Done: last.Done, Total: last.Total, Final: true, OK: len(failures) == 0}
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

// await gives progress the steps until all orders of a request are over, and returns their failures in the order of the apps. err
// says why it does not wait any longer.
func (s *Supervisor) await(ctx context.Context, b begun, steps <-chan control.Progress, progress func(control.Progress)) (failures []error, err error) {
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
		case <-s.done:
			for ; left > 0; left-- {
				select {
				case r := <-b.results:
					ends[r.part] = r.err
				default:
					return nil, control.ErrCut
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

package supervisor

import (
	"context"
	"errors"

	"github.com/tinehq/tine/supervisor/control"
)

// lastCommander wraps the Commander for the control socket: after the end of the master it answers 503 (ending) in place of ErrEnded,
// so that clients ask the next master.
type lastCommander struct{ control.Commander }

func ending(err error) error {
	if errors.Is(err, ErrEnded) {
		return control.Ending()
	}
	return err
}

func (c lastCommander) Status(ctx context.Context) (control.Status, error) {
	st, err := c.Commander.Status(ctx)
	return st, ending(err)
}

func (c lastCommander) Do(ctx context.Context, o control.Order, progress func(control.Progress)) error {
	return ending(c.Commander.Do(ctx, o, progress))
}

func (c lastCommander) Events(ctx context.Context, after uint64, follow bool, yield func(control.Event) error) error {
	return ending(c.Commander.Events(ctx, after, follow, yield))
}

func (c lastCommander) Logs(ctx context.Context, q control.LogQuery, yield func(control.LogLine) error) error {
	return ending(c.Commander.Logs(ctx, q, yield))
}

func (c lastCommander) Value(ctx context.Context, key string) ([]byte, control.CacheValue, error) {
	data, v, err := c.Commander.Value(ctx, key)
	return data, v, ending(err)
}

func (c lastCommander) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	epoch, err := c.Commander.SetValue(ctx, key, data)
	return epoch, ending(err)
}

func (c lastCommander) DeleteValue(ctx context.Context, key string) error {
	return ending(c.Commander.DeleteValue(ctx, key))
}

func (c lastCommander) Config(ctx context.Context) ([]byte, error) {
	text, err := c.Commander.Config(ctx)
	return text, ending(err)
}

func (c lastCommander) Apply(ctx context.Context, request control.ApplyRequest) (control.ApplyResult, error) {
	result, err := c.Commander.Apply(ctx, request)
	return result, ending(err)
}

func (c lastCommander) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	out, err := c.Commander.Call(ctx, app, worker, method, in)
	return out, ending(err)
}

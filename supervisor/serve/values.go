package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/handle"
)

// longestCall bounds a call of a worker.
const longestCall = 10 * time.Minute

func (c commander) Value(ctx context.Context, key string) ([]byte, api.CacheValue, error) {
	v, err := c.Master.Value(ctx, key)
	if err != nil {
		return nil, api.CacheValue{}, err
	}
	told := CacheValue(v.Status)
	switch {
	case v.Err != nil:
		return nil, told, fmt.Errorf("cannot read the cached value %q: %w", key, v.Err)
	case v.Data == nil && v.Known:
		return nil, told, api.Refuse(http.StatusNotFound, "%q has no value yet: %s", key, told.Error)
	case v.Data == nil:
		return nil, told, api.Unknown("cached value", key, v.Keys)
	}
	return v.Data, told, nil
}

func (c commander) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	if key == "" || len(key) > ipc.MaxKey { // no config could have it
		return 0, api.WrongField("key", "a key has 1 to %d bytes, not %d", ipc.MaxKey, len(key))
	}
	epoch, err := c.Master.SetValue(ctx, key, data)
	if refused := (cache.RefusedError{}); errors.As(err, &refused) {
		return 0, api.Refuse(http.StatusUnprocessableEntity, "%s", refused.Error())
	}
	return epoch, err
}

func (c commander) DeleteValue(ctx context.Context, key string) error {
	v, err := c.Master.DeleteValue(ctx, key)
	switch {
	case err != nil:
		return err
	case !v.Known:
		return api.Unknown("cached value", key, v.Keys)
	case v.Err != nil:
		return api.Refuse(http.StatusUnprocessableEntity, "%s", v.Err.Error())
	}
	return nil
}

// gatewayWait bounds the wait until a gateway has taken an order.
const gatewayWait = 5 * time.Second

func (c commander) DrainMember(ctx context.Context, d api.MemberDrain) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayWait)
	defer cancel()
	known, err := c.Master.DrainMember(ctx, d)
	if known || err != nil {
		return err
	}
	m, err := c.Master.Snapshot(ctx)
	if err != nil {
		return err
	}
	gateways := slices.DeleteFunc(namesOf(m), func(app string) bool { return !isGateway(m, app) })
	return api.Unknown("gateway", d.Gateway, gateways)
}

func (c commander) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	out, err := c.Master.Call(ctx, app, worker, method, in)
	if err == nil || errors.Is(err, ErrEnded) || ctx.Err() != nil {
		return out, err
	}
	missing, unknown := handle.NoWorker(""), handle.NoHandler("")
	switch {
	case errors.As(err, &unknown):
		return nil, api.Refuse(http.StatusNotImplemented, "worker %d of app %s: %v", worker, app, err)
	case errors.As(err, &missing):
		return nil, api.Refuse(http.StatusNotFound, "app %s has no worker %d that can be called", app, worker)
	}
	return nil, err
}

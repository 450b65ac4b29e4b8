package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeLines   = "application/x-ndjson"
	typeEvents  = "text/event-stream"
	typeBytes   = "application/octet-stream"
	typeYAML    = "application/yaml"
	typeText    = "text/plain; charset=utf-8"
)

// ErrNotRunning says that no process listens on a socket, or that there is none.
var ErrNotRunning = errors.New("no master is running there")

// Failed is the error of an order that was begun and came to nothing.
type Failed struct{ api.Progress }

func (f *Failed) Error() string { return f.Progress.Error }

// CutError says that the master has ended while an order was under way, which may go on
// with the next one. Whether it was begun is not known.
type CutError struct {
	Verb string
	Err  error
}

func (e *CutError) Error() string {
	return fmt.Sprintf("cannot follow the %s to its end: %v", e.Verb, e.Err)
}

func (e *CutError) Unwrap() error { return e.Err }

// Client asks one master. Safe for concurrent use. Every call is bounded by its
// context alone. Its errors: a wrapped ErrNotRunning, a *Refusal as the master gave
// it, a *Failed, what the context says, or what the connection did.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the master whose socket is at path. It connects when
// it is first asked something.
func NewClient(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dialWatched(ctx, path) },
		DisableCompression: true,
		MaxIdleConns:       4,
		IdleConnTimeout:    30 * time.Second,
	}}}
}

// Path is that of the socket.
func (c *Client) Path() string { return c.path }

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// comeBack is how long a client waits for a master that a keeper brings back, or that
// another one follows.
const comeBack = 2 * time.Second

// comeBackPace is how often it looks.
const comeBackPace = 10 * time.Millisecond

// Status returns what the master runs.
func (c *Client) Status(ctx context.Context) (st api.Status, err error) {
	return st, c.json(ctx, http.MethodGet, "/v1/status", nil, nil, &st)
}

// App returns one app.
func (c *Client) App(ctx context.Context, name string) (app api.App, err error) {
	return app, c.json(ctx, http.MethodGet, "/v1/apps/"+segment(name), nil, nil, &app)
}

// Do carries an order out to its end: nil when it was done, a *Failed when it came to
// nothing, a *Refusal when it was not begun. progress may be nil; its last call is the
// Final one. The end of ctx ends the wait, and not the order.
func (c *Client) Do(ctx context.Context, order api.Order, progress func(api.Progress)) error {
	body, err := encodeOrder(order)
	if err != nil {
		return fmt.Errorf("cannot encode the order: %w", err)
	}
	answer, err := c.send(ctx, http.MethodPost, orderPath(order), nil, typeLines, body)
	if err != nil {
		if ctx.Err() == nil && hungUp(err) && order.Verb != api.VerbShutdown {
			err = &CutError{order.Verb, err}
		}
		return err
	}
	defer answer.Close()
	lines := json.NewDecoder(answer)
	for {
		var p api.Progress
		if err := lines.Decode(&p); err != nil {
			if order.Verb == api.VerbShutdown && ctx.Err() == nil && c.gone(ctx) {
				return nil // it has ended as it was told, before it could say so
			}
			if err = cut(ctx, err); ctx.Err() != nil {
				return fmt.Errorf("cannot follow the %s to its end: %w", order.Verb, err)
			}
			return &CutError{order.Verb, err}
		}
		if progress != nil {
			progress(p)
		}
		if p.Final {
			if !p.OK {
				return &Failed{p}
			}
			return nil
		}
	}
}

// encodeOrder is the order as the API takes it: for a scale also a number of 0 is said.
func encodeOrder(o api.Order) ([]byte, error) {
	if o.Verb != api.VerbScale {
		return json.Marshal(o)
	}
	type fields api.Order
	return json.Marshal(struct {
		fields
		N int `json:"n"`
	}{fields(o), o.N})
}

func orderPath(o api.Order) string {
	switch o.Verb {
	case api.VerbShutdown:
		return "/v1/stop"
	case api.VerbUpgrade:
		return "/v1/upgrade"
	}
	app := cmp.Or(o.App, allApps)
	return "/v1/apps/" + segment(app) + "/" + segment(o.Verb)
}

// gone reports whether no process listens on the socket any more.
func (c *Client) gone(ctx context.Context) bool {
	conn, err := dial(ctx, c.path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, ErrNotRunning)
}

// Cache tells of all cached values.
func (c *Client) Cache(ctx context.Context) (st api.CacheStatus, err error) {
	return st, c.json(ctx, http.MethodGet, "/v1/cache", nil, nil, &st)
}

// Value returns one cached value and what is known of it.
func (c *Client) Value(ctx context.Context, key string) ([]byte, api.CacheValue, error) {
	res, err := c.do(ctx, http.MethodGet, valuePath(key), nil, typeBytes, nil)
	if err != nil {
		return nil, api.CacheValue{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, api.CacheValue{}, fmt.Errorf("cannot read the value %q: %w", key, cut(ctx, err))
	}
	v := api.CacheValue{Key: key, Bytes: len(data), Source: res.Header.Get(headerSource), Error: res.Header.Get(headerError)}
	v.Epoch, _ = strconv.ParseUint(res.Header.Get(headerEpoch), 10, 64)
	v.AgeS, _ = strconv.ParseFloat(res.Header.Get(headerAge), 64)
	return data, v, nil
}

// SetValue changes a cached value for all workers and returns its epoch.
func (c *Client) SetValue(ctx context.Context, key string, data []byte) (uint64, error) {
	if data == nil {
		data = []byte{}
	}
	var answer valueSet
	err := c.json(ctx, http.MethodPut, valuePath(key), nil, data, &answer)
	return answer.Epoch, err
}

// DeleteValue takes a cached value away from all workers.
func (c *Client) DeleteValue(ctx context.Context, key string) error {
	answer, err := c.send(ctx, http.MethodDelete, valuePath(key), nil, "", nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

// DrainMember has a gateway send no more requests to a member, or, with Undo, send them again.
func (c *Client) DrainMember(ctx context.Context, d api.MemberDrain) error {
	method, query := http.MethodPut, url.Values{}
	if d.Undo {
		method = http.MethodDelete
	}
	if d.Reason != "" {
		query.Set("reason", d.Reason)
	}
	answer, err := c.send(ctx, method, "/v1/gateways/"+segment(d.Gateway)+"/drained/"+segment(d.Member), query, "", nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

func valuePath(key string) string { return "/v1/cache/" + segment(key) }

// Config returns the effective config as YAML.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	return c.all(ctx, "/v1/config", nil, typeYAML)
}

// Apply has the config read again.
func (c *Client) Apply(ctx context.Context, request api.ApplyRequest) (result api.ApplyResult, err error) {
	query := url.Values{"dry": {strconv.FormatBool(request.Dry)}}
	return result, c.json(ctx, http.MethodPost, "/v1/config/apply", query, []byte{}, &result)
}

// Decisions returns how gateways delivered their last requests.
func (c *Client) Decisions(ctx context.Context, q api.DecisionQuery) (all api.Decisions, err error) {
	query := url.Values{}
	if q.App != "" {
		query.Set("app", q.App)
	}
	if q.ID != "" {
		query.Set("id", q.ID)
	}
	if q.Last != 0 {
		query.Set("last", strconv.Itoa(q.Last))
	}
	return all, c.json(ctx, http.MethodGet, "/v1/gate/history", query, nil, &all)
}

// Gateways returns what gateways know of their members, pools and requests: of one app or, where that is "", of all.
func (c *Client) Gateways(ctx context.Context, app string) (all api.Gateways, err error) {
	query := url.Values{}
	if app != "" {
		query.Set("app", app)
	}
	return all, c.json(ctx, http.MethodGet, "/v1/gateways", query, nil, &all)
}

// Doctor returns what the machine can do for the master, as JSON.
func (c *Client) Doctor(ctx context.Context) (json.RawMessage, error) {
	return c.all(ctx, "/v1/doctor", nil, typeJSON)
}

// Metrics returns the metrics in Prometheus's text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.all(ctx, "/v1/metrics", nil, "text/plain")
}

// maxProblem bounds what is read of an answer that is an error.
const maxProblem = 1 << 20

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
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

// ErrNotRunning says that nobody listens at a socket, or that there is none.
var ErrNotRunning = errors.New("no master is running there")

// Failed is the error of an order that was begun and came to nothing.
type Failed struct{ Progress }

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

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// comeBack is how long a client waits for a master that a keeper brings back, or that
// another one follows.
const comeBack = 2 * time.Second

// comeBackPace is how often it looks.
const comeBackPace = 10 * time.Millisecond

// dial connects to the socket at path. It waits for a master that is brought back.
func dial(ctx context.Context, path string) (net.Conn, error) {
	for late := time.Now().Add(comeBack); ; {
		conn, err := dialOnce(ctx, path)
		if err == nil || !errors.Is(err, ErrNotRunning) || time.Now().After(late) || !comesBack(path) {
			return conn, err
		}
		select {
		case <-time.After(comeBackPace):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// dialOnce connects to the socket at path, unless it is that of another user: in a shared
// folder, anybody may have put it there.
func dialOnce(ctx context.Context, path string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("cannot reach %s: %w", path, ErrNotRunning)
	case err != nil:
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("cannot reach %s: %w", path, err)
	}
	p, err := peerOf(conn.(*net.UnixConn))
	if err == nil && !p.mayAnswer() {
		err = fmt.Errorf("its owner is user %d", p.uid)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot trust %s: %w", path, err)
	}
	return conn, nil
}

// Status returns what the master runs.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.json(ctx, http.MethodGet, "/v1/status", nil, nil, &st)
}

// App returns one app.
func (c *Client) App(ctx context.Context, name string) (app App, err error) {
	return app, c.json(ctx, http.MethodGet, "/v1/apps/"+segment(name), nil, nil, &app)
}

// Do carries an order out to its end: nil when it was done, a *Failed when it came to
// nothing, a *Refusal when it was not begun. progress may be nil; its last call is the
// Final one. The end of ctx ends the wait, and not the order.
func (c *Client) Do(ctx context.Context, order Order, progress func(Progress)) error {
	body, err := encodeOrder(order)
	if err != nil {
		return fmt.Errorf("cannot encode the order: %w", err)
	}
	answer, err := c.send(ctx, http.MethodPost, orderPath(order), nil, typeLines, body)
	if err != nil {
		if ctx.Err() == nil && hungUp(err) && order.Verb != VerbShutdown {
			err = &CutError{order.Verb, err}
		}
		return err
	}
	defer answer.Close()
	lines := json.NewDecoder(answer)
	for {
		var p Progress
		if err := lines.Decode(&p); err != nil {
			if order.Verb == VerbShutdown && ctx.Err() == nil && c.gone(ctx) {
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
func encodeOrder(o Order) ([]byte, error) {
	if o.Verb != VerbScale {
		return json.Marshal(o)
	}
	type fields Order
	return json.Marshal(struct {
		fields
		N int `json:"n"`
	}{fields(o), o.N})
}

func orderPath(o Order) string {
	switch o.Verb {
	case VerbShutdown:
		return "/v1/stop"
	case VerbUpgrade:
		return "/v1/upgrade"
	}
	app := o.App
	if app == "" {
		app = allApps
	}
	return "/v1/apps/" + segment(app) + "/" + segment(o.Verb)
}

// gone says whether nobody listens at the socket any more.
func (c *Client) gone(ctx context.Context) bool {
	conn, err := dial(ctx, c.path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, ErrNotRunning)
}

// Events gives yield the events that are kept with an id greater than after, and with
// follow those that come, until ctx ends, the master ends (nil) or yield returns an
// error, which it returns. Where the master cut the connection because yield was slow,
// it goes on from the last event that came.
func (c *Client) Events(ctx context.Context, after uint64, follow bool, yield func(Event) error) error {
	return c.EventsLast(ctx, after, 0, follow, yield)
}

// EventsLast is Events with at most the last so many of those that are kept; 0: all,
// negative: none.
func (c *Client) EventsLast(ctx context.Context, after uint64, last int, follow bool, yield func(Event) error) error {
	return resume(ctx, func() (progress bool, err error) {
		query := url.Values{"follow": {strconv.FormatBool(follow)}}
		if after > 0 {
			query.Set("after", strconv.FormatUint(after, 10))
		}
		if last != 0 {
			query.Set("last", strconv.Itoa(max(last, -1)))
		}
		answer, err := c.send(ctx, http.MethodGet, "/v1/events", query, typeEvents, nil)
		if err != nil {
			return false, err
		}
		defer answer.Close()
		err = readEvents(answer, func(e Event) error {
			progress, after, last = true, e.ID, 0
			if err := yield(e); err != nil {
				return stopped{err}
			}
			return nil
		})
		return progress, err
	})
}

// Logs gives yield the lines that q chooses, as Events does.
func (c *Client) Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error {
	return resume(ctx, func() (progress bool, err error) {
		answer, err := c.send(ctx, http.MethodGet, "/v1/logs", queryOf(q), typeLines, nil)
		if err != nil {
			return false, err
		}
		defer answer.Close()
		lines := json.NewDecoder(answer)
		for {
			var l LogLine
			if err := lines.Decode(&l); err == io.EOF {
				return progress, nil
			} else if err != nil {
				return progress, err
			}
			progress, q.After, q.Last = true, max(q.After, l.ID), 0
			if err := yield(l); err != nil {
				return progress, stopped{err}
			}
		}
	})
}

// stopped carries what a yield returned past those who look at errors.
type stopped struct{ error }

// resume calls once again after a connection that was cut, as long as it brings
// anything.
func resume(ctx context.Context, once func() (progress bool, err error)) error {
	for {
		progress, err := once()
		var by stopped
		switch {
		case errors.As(err, &by):
			return by.error
		case err == nil || ctx.Err() != nil:
			return cut(ctx, err)
		case !progress || !wasCut(err):
			return err
		}
	}
}

func wasCut(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// cut is err, or why the context ended where that is the cause.
func cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Cache tells of all cached values.
func (c *Client) Cache(ctx context.Context) (st CacheStatus, err error) {
	return st, c.json(ctx, http.MethodGet, "/v1/cache", nil, nil, &st)
}

// Value returns one cached value and what is known of it.
func (c *Client) Value(ctx context.Context, key string) ([]byte, CacheValue, error) {
	res, err := c.do(ctx, http.MethodGet, valuePath(key), nil, typeBytes, nil)
	if err != nil {
		return nil, CacheValue{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, CacheValue{}, fmt.Errorf("cannot read the value %q: %w", key, cut(ctx, err))
	}
	v := CacheValue{Key: key, Bytes: len(data), Source: res.Header.Get(headerSource), Error: res.Header.Get(headerError)}
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

func valuePath(key string) string { return "/v1/cache/" + segment(key) }

// segment is s as one part of a path, the names that stand for folders too.
func segment(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// Config returns the effective config as YAML.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	return c.all(ctx, "/v1/config", nil, typeYAML)
}

// Apply has the config read again.
func (c *Client) Apply(ctx context.Context, request ApplyRequest) (result ApplyResult, err error) {
	query := url.Values{"dry": {strconv.FormatBool(request.Dry)}}
	return result, c.json(ctx, http.MethodPost, "/v1/config/apply", query, []byte{}, &result)
}

// Doctor returns what the machine can do for the master, as JSON.
func (c *Client) Doctor(ctx context.Context) (json.RawMessage, error) {
	return c.all(ctx, "/v1/doctor", nil, typeJSON)
}

// Metrics returns the metrics in Prometheus's text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.all(ctx, "/v1/metrics", nil, "text/plain")
}

// Get asks for a path that has no method of its own, such as /v1/profile. The caller
// closes what it returns.
func (c *Client) Get(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	return c.send(ctx, http.MethodGet, path, query, accept, nil)
}

func (c *Client) all(ctx context.Context, path string, query url.Values, accept string) ([]byte, error) {
	answer, err := c.send(ctx, http.MethodGet, path, query, accept, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	data, err := io.ReadAll(answer)
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer to %s: %w", path, cut(ctx, err))
	}
	return data, nil
}

func (c *Client) json(ctx context.Context, method, path string, query url.Values, body []byte, answer any) error {
	res, err := c.send(ctx, method, path, query, typeJSON, body)
	if err != nil {
		return err
	}
	defer res.Close()
	if err := json.NewDecoder(res).Decode(answer); err != nil {
		return fmt.Errorf("cannot read the answer to %s: %w", path, cut(ctx, err))
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, accept string, body []byte) (io.ReadCloser, error) {
	res, err := c.do(ctx, method, path, query, accept, body)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// do sends a request and turns an answer that is an error into one. body nil: none. What
// a master has not begun because it is ending, and a question that it has not answered,
// the next one is asked, if there is one soon.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, accept string, body []byte) (*http.Response, error) {
	for late := time.Now().Add(comeBack); ; {
		res, err := c.doOnce(ctx, method, path, query, accept, body)
		var refusal *Refusal
		ending := errors.As(err, &refusal) && refusal.Title == api.TitleEnding
		if err == nil || !ending && (method != http.MethodGet || !hungUp(err)) || time.Now().After(late) || ctx.Err() != nil {
			return res, err
		}
		c.http.CloseIdleConnections() // to the old one
		if _, there := os.Lstat(c.path); there != nil && !comesBack(c.path) {
			return res, err
		}
		select {
		case <-time.After(comeBackPace):
		case <-ctx.Done():
			return res, err
		}
	}
}

func (c *Client) doOnce(ctx context.Context, method, path string, query url.Values, accept string, body []byte) (*http.Response, error) {
	target := "http://tine" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for %s: %w", path, err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	var used *watchedConn
	res, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { used, _ = i.Conn.(*watchedConn) },
	})))
	if err != nil {
		var wrapped *url.Error // says the address again, which means nothing on a socket
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if err = cut(ctx, err); ctx.Err() == nil && used.hungUp() {
			err = &hungUpError{c.path, err}
		}
		return nil, err
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, problemIn(res)
}

// maxProblem bounds what is read of an answer that is an error.
const maxProblem = 1 << 20

func problemIn(res *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem)) // what came will do
	refusal := &Refusal{}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != typeProblem || json.Unmarshal(data, refusal) != nil {
		refusal.Detail = strings.TrimSpace(string(data[:min(len(data), 200)]))
	}
	refusal.Status = res.StatusCode
	if refusal.Title == "" {
		refusal.Title = http.StatusText(res.StatusCode)
	}
	return refusal
}

package control

import (
	"bytes"
	"cmp"
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
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

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
// folder, any user may have put it there.
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

// segment is s as one part of a path, the names that stand for folders too.
func segment(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
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
		var refusal *api.Refusal
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

func problemIn(res *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem)) // what came will do
	refusal := &api.Refusal{}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != typeProblem || json.Unmarshal(data, refusal) != nil {
		refusal.Detail = strings.TrimSpace(string(data[:min(len(data), 200)]))
	}
	refusal.Status = res.StatusCode
	refusal.Title = cmp.Or(refusal.Title, http.StatusText(res.StatusCode))
	return refusal
}

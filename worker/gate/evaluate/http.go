package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// HTTP asks members over HTTP/1.1. Ask may be called by all goroutines at once.
type HTTP struct {
	question members.Question
	client   http.Client
}

// socketKey is the key of a context that has the path of a member's Unix socket.
type socketKey struct{}

// NewHTTP makes what asks q. Close gives up its connections.
func NewHTTP(q members.Question) (*HTTP, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("cannot ask servers for their statistics: %w", err)
	}
	dialer := &net.Dialer{}
	return &HTTP{question: q, client: http.Client{
		// A server that is asked says itself how it is: what another one says is not about it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if path, ok := ctx.Value(socketKey{}).(string); ok {
					network, address = "unix", path
				}
				return dialer.DialContext(ctx, network, address)
			},
			DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}}, nil
}

// Close closes the idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Ask is for Options.Ask. The error says in one line what was wrong.
func (h *HTTP) Ask(ctx context.Context, m *members.Member) (members.Report, error) {
	at, err := h.question.For(m)
	if err != nil {
		return members.Report{}, err
	}
	unix := filepath.IsAbs(m.Address)
	if unix {
		ctx = context.WithValue(ctx, socketKey{}, m.Address)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return members.Report{}, fmt.Errorf("cannot ask %s: %w", at, err)
	}
	r.Header.Set("Accept", "application/json")
	r.Close = unix // connections are kept by host, and all sockets have the same
	answer, err := h.client.Do(r)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // which says the URL again
		}
		return members.Report{}, fmt.Errorf("cannot ask %s: %w", at, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return members.Report{}, fmt.Errorf("%s answered %s", at, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, members.MaxAnswer+1))
	switch {
	case err != nil:
		return members.Report{}, fmt.Errorf("cannot read the answer of %s: %w", at, err)
	case len(body) > members.MaxAnswer:
		return members.Report{}, fmt.Errorf("the answer of %s has more than %d bytes", at, members.MaxAnswer)
	}
	report, err := h.question.Read(body)
	if err != nil {
		return members.Report{}, fmt.Errorf("%s: %w", at, err)
	}
	return report, nil
}

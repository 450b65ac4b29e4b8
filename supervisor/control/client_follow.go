package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"github.com/tinehq/tine/supervisor/control/api"
)

// Events gives yield the events that are kept with an id greater than after, and with
// follow those that come, until ctx ends, the master ends (nil) or yield returns an
// error, which it returns. Where the master cut the connection because yield was slow,
// it goes on from the last event that came.
func (c *Client) Events(ctx context.Context, after uint64, follow bool, yield func(api.Event) error) error {
	return c.EventsLast(ctx, after, 0, follow, yield)
}

// EventsLast is Events with at most the last so many of those that are kept; 0: all,
// negative: none.
func (c *Client) EventsLast(ctx context.Context, after uint64, last int, follow bool, yield func(api.Event) error) error {
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
		err = readEvents(answer, func(e api.Event) error {
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
func (c *Client) Logs(ctx context.Context, q api.LogQuery, yield func(api.LogLine) error) error {
	return resume(ctx, func() (progress bool, err error) {
		answer, err := c.send(ctx, http.MethodGet, "/v1/logs", queryOf(q), typeLines, nil)
		if err != nil {
			return false, err
		}
		defer answer.Close()
		lines := json.NewDecoder(answer)
		for {
			var l api.LogLine
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

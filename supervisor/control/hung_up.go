package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// watchedConn is a connection of the client that remembers whether the master has ended it. net/http says so of an idle connection
// by an error that has only a text.
type watchedConn struct {
	net.Conn
	ended atomic.Bool
}

func dialWatched(ctx context.Context, path string) (net.Conn, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err
}

// note learns from an error that is not of this side's own Close.
func (c *watchedConn) note(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.ended.Store(true)
	}
}

func (c *watchedConn) hungUp() bool { return c != nil && c.ended.Load() }

// hungUpError: the master has ended the connection of a request before it has answered.
type hungUpError struct {
	path string
	err  error
}

func (e *hungUpError) Error() string {
	return fmt.Sprintf("the master at %s hung up: it has ended, or it has too many connections: %v", e.path, e.err)
}

func (e *hungUpError) Unwrap() error { return e.err }

func hungUp(err error) bool {
	var hung *hungUpError
	return errors.As(err, &hung)
}

//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// requestTimeout is how long a request may take, and a connection before it.
const requestTimeout = 5 * time.Second

// client makes one request at a time over its own connection and never retries: what does not end in a complete and right
// answer is a failure. Like every HTTP client it looks, before it uses a connection again, whether the server has closed it.
type client struct {
	addr    string
	request rawhttp.Request
	right   func(body []byte) bool

	conn *rawhttp.Conn
	used bool // a request on conn was answered
}

// failure is a request that did not end well.
type failure struct {
	outcome rawhttp.Outcome
	reused  bool // its connection had served a request before
	err     error
}

func (f *failure) Error() string {
	on := "new"
	if f.reused {
		on = "reused"
	}
	return fmt.Sprintf("%s on a %s connection: %v", f.outcome, on, f.err)
}

func newClient(addr string, keep, post bool) *client {
	c := &client{addr: addr, request: rawhttp.Request{Method: "GET", Path: "/", Close: !keep}}
	c.right = func(got []byte) bool { return pidIn(got) > 0 }
	if post {
		body := strings.Repeat("tine ", 200)
		sum := sha256.Sum256([]byte(body))
		want := fmt.Sprintf("%d %s\n", len(body), hex.EncodeToString(sum[:]))
		c.request.Method, c.request.Path, c.request.Body = "POST", "/upload", []byte(body)
		c.right = func(got []byte) bool { return string(got) == want }
	}
	return c
}

// pidIn finds the process in "Handled by process 4711.Cached value: 50"; 0: the text is another one.
func pidIn(body []byte) int {
	var pid int
	var value string
	if n, _ := fmt.Sscanf(string(body), "Handled by process %d.Cached value: %s", &pid, &value); n != 2 {
		return 0
	}
	return pid
}

// do makes one request and returns the body of the answer.
func (c *client) do() ([]byte, *failure) {
	if c.conn != nil && c.conn.Closed() {
		c.close()
	}
	if c.conn == nil {
		if f := c.dial(); f != nil {
			return nil, f
		}
	}
	return c.exchange()
}

func (c *client) dial() *failure {
	conn, outcome, err := rawhttp.Dial(netip.Addr{}, c.addr, time.Now().Add(requestTimeout))
	if err != nil {
		return &failure{outcome: outcome, err: err}
	}
	c.conn, c.used = conn, false
	return nil
}

func (c *client) exchange() ([]byte, *failure) {
	deadline := time.Now().Add(requestTimeout)
	a := c.conn.Do(c.request, deadline)
	if a.Outcome == rawhttp.OK && !c.right(a.Body) {
		a.Outcome, a.Err = rawhttp.BadBody, fmt.Errorf("the answer is %.100q", a.Body)
	}
	if a.Outcome == rawhttp.OK && a.Close { // the server said that it closes: it must do so cleanly
		a.Outcome, a.Err = c.conn.End(deadline)
	}
	f := &failure{a.Outcome, c.used, a.Err}
	c.used = true
	if a.Close {
		c.close()
	}
	if a.Outcome != rawhttp.OK {
		c.close()
		return nil, f
	}
	return a.Body, nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

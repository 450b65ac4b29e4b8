//go:build linux

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// requestTimeout is how long a request may take.
const requestTimeout = 5 * time.Second

// client makes one request at a time over its own connection and never retries: whatever does not end in a complete and
// right answer is a failure. The one thing it does like every HTTP client is to look, before it uses a connection
// again, whether the server has closed it meanwhile.
type client struct {
	addr    string
	keep    bool
	request []byte
	right   func(body []byte) bool
	method  *http.Request // what ReadResponse wants to know

	conn *net.TCPConn
	raw  syscall.RawConn
	in   *bufio.Reader
	used bool
}

// failure is a request that did not end well.
type failure struct {
	step    string // dial, write, answer, body, status, close
	reused  bool
	refused bool
	reset   bool
	err     error
}

func (f *failure) Error() string {
	on := "new"
	if f.reused {
		on = "reused"
	}
	return fmt.Sprintf("%s on a %s connection: %v", f.step, on, f.err)
}

func newClient(addr string, keep, post bool) *client {
	c := &client{addr: addr, keep: keep, in: bufio.NewReader(nil)}
	header := "Host: " + addr + "\r\n"
	if !keep {
		header += "Connection: close\r\n"
	}
	if post {
		body := strings.Repeat("tine ", 200)
		sum := sha256.Sum256([]byte(body))
		want := fmt.Sprintf("%d %s\n", len(body), hex.EncodeToString(sum[:]))
		c.request = []byte(fmt.Sprintf("POST /upload HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body))
		c.right = func(got []byte) bool { return string(got) == want }
		c.method = &http.Request{Method: "POST"}
	} else {
		c.request = []byte("GET / HTTP/1.1\r\n" + header + "\r\n")
		c.right = func(got []byte) bool { return pidIn(got) > 0 }
		c.method = &http.Request{Method: "GET"}
	}
	return c
}

// pidIn finds the process in "Handled by process 4711.Cached value: 50"; 0 if that is not what it is.
func pidIn(body []byte) int {
	var pid int
	var value string
	if n, _ := fmt.Sscanf(string(body), "Handled by process %d.Cached value: %s", &pid, &value); n != 2 {
		return 0
	}
	return pid
}

// do makes one request and returns the answer's body. closedIdle says that the kept connection had been closed before.
func (c *client) do() (body []byte, closedIdle bool, f *failure) {
	if c.conn != nil && c.closedMeanwhile() {
		c.close()
		closedIdle = true
	}
	if c.conn == nil {
		if f := c.dial(); f != nil {
			return nil, closedIdle, f
		}
	}
	body, f = c.exchange()
	if f != nil {
		f.reused = c.used
		f.reset = errors.Is(f.err, syscall.ECONNRESET) || errors.Is(f.err, syscall.EPIPE)
		c.close()
		return nil, closedIdle, f
	}
	c.used = true
	return body, closedIdle, nil
}

func (c *client) dial() *failure {
	conn, err := net.DialTimeout("tcp4", c.addr, requestTimeout)
	if err != nil {
		return &failure{step: "dial", err: err, refused: errors.Is(err, syscall.ECONNREFUSED), reset: errors.Is(err, syscall.ECONNRESET)}
	}
	c.conn, c.used = conn.(*net.TCPConn), false
	c.in.Reset(conn)
	if c.raw, err = c.conn.SyscallConn(); err != nil {
		return &failure{step: "dial", err: err}
	}
	return nil
}

func (c *client) exchange() ([]byte, *failure) {
	_ = c.conn.SetDeadline(time.Now().Add(requestTimeout))
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, &failure{step: "write", err: err}
	}
	res, err := http.ReadResponse(c.in, c.method)
	if err != nil {
		return nil, &failure{step: "answer", err: err}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, &failure{step: "body", err: err}
	}
	if res.StatusCode != http.StatusOK || !c.right(body) {
		return nil, &failure{step: "status", err: fmt.Errorf("%s with %.100q", res.Status, body)}
	}
	if !res.Close {
		return body, nil
	}
	// The server said that it closes: it must do so cleanly.
	if n, err := c.in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, &failure{step: "close", err: fmt.Errorf("%d bytes and %w after the answer", n, err)}
	}
	c.close()
	return body, nil
}

// closedMeanwhile looks without waiting whether the end of the stream has arrived.
func (c *client) closedMeanwhile() bool {
	closed := false
	err := c.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
	})
	return closed || err != nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

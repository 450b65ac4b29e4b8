//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tinehq/tine/ipc/eventually"
)

// echoServer is a member that answers each message of a WebSocket with the same one.
func echoServer(t *testing.T) (address string, opened *atomic.Int64) {
	t.Helper()
	opened = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		opened.Add(1)
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), opened
}

// TestGateTunnels: 1,000 silent WebSockets and 10 busy ones go on while all workers of their gateway are replaced, twice: none is closed,
// and no message is lost, doubled or out of order.
func TestGateTunnels(t *testing.T) {
	at, opened := echoServer(t)
	m := startReady(t, gateConfig(at), kept)
	to := m.address()
	var all []net.Conn
	for range 1000 {
		c, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * eventually.Patience()))
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("%v, %v", res, err)
		}
		all = append(all, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*eventually.Patience())
	defer cancel()
	over := make(chan struct{})
	var wg sync.WaitGroup
	var echoed atomic.Int64
	for range 10 {
		c, _, err := websocket.Dial(ctx, "ws://"+to, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		wg.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("message %d, %0*d", i, i%5000, i)
				if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
					t.Errorf("message %d: %v", i, err)
					return
				}
				if _, b, err := c.Read(ctx); err != nil || string(b) != text {
					t.Errorf("message %d: %.40q, %v", i, b, err)
					return
				}
				echoed.Add(1)
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	eventually.True(t, "messages pass", func() bool { return echoed.Load() > 100 })
	before := m.workers("gate")
	m.roll()
	m.roll()
	if now := m.workers("gate"); fmt.Sprint(now) == fmt.Sprint(before) {
		t.Errorf("workers %v were not replaced", now)
	}
	passed := echoed.Load()
	eventually.True(t, "messages still pass", func() bool { return echoed.Load() > passed+100 })
	close(over)
	wg.Wait()
	ping := []byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'} // a message of a client, with a mask of zeros
	for i, c := range all {
		_, _ = c.Write(ping)
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil || string(b[2:]) != "hi" {
			t.Fatalf("WebSocket %d: %q, %v", i, b, err)
		}
	}
	if n := opened.Load(); n != 1010 {
		t.Errorf("%d WebSockets were opened at the member", n)
	}
	for _, c := range all {
		c.Close()
	}
	m.stop()
	m.ended(0)
}

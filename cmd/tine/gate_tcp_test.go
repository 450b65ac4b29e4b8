//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/tinehq/tine/ipc/eventually"
)

// echoTCP is a member that says of whom a connection is, as the head of the PROXY protocol has it, and then all that it hears.
func echoTCP(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				h, err := proxyproto.Read(in)
				if err != nil {
					return // a check of the master
				}
				fmt.Fprintf(c, "%s\n", h.SourceAddr)
				_, _ = io.Copy(c, in)
			})
		}
	})
	return ln.Addr().String()
}

// TestGateTCP: connections pass, members learn of the client that a proxy before the gateway has told of, and connections outlive the
// rollout of the gateway, in the middle of what they send.
func TestGateTCP(t *testing.T) {
	m := startReady(t, fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 2
    gateway:
      members: ["%s"]
      protocol: tcp
      proxy_protocol: {from: 127.0.0.0/8, to: true}
    $CALM
`, echoTCP(t)), kept)
	type client struct {
		*net.TCPConn
		in *bufio.Reader
	}
	var all []client
	for i := range 20 {
		c, err := net.Dial("tcp", m.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * eventually.Patience()))
		fmt.Fprintf(c, "PROXY TCP4 10.0.0.%d 10.0.0.1 1000 80\r\nhalf a ", i)
		in := bufio.NewReader(c)
		want := fmt.Sprintf("10.0.0.%d:1000\n", i)
		if got, err := in.ReadString('\n'); got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		all = append(all, client{c.(*net.TCPConn), in})
	}
	before := m.workers("gate")
	m.roll()
	if now := m.workers("gate"); fmt.Sprint(now) == fmt.Sprint(before) {
		t.Errorf("workers %v were not replaced", now)
	}
	for i, c := range all {
		_, _ = io.WriteString(c, "line\n")
		_ = c.CloseWrite()
		if b, err := io.ReadAll(c.in); string(b) != "half a line\n" || err != nil {
			t.Errorf("connection %d: %q, %v", i, b, err)
		}
	}
	m.stop()
	m.ended(0)
}

package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// TestIdleTunnel: an idle tunnel costs at most 12 KB of the proxy's memory, stacks of the server's goroutine included.
func TestIdleTunnel(t *testing.T) {
	const tunnels, most = 300, 12 << 10
	at := raw(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReaderSize(c, 1<<10))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1))
	})
	f := frontOf(t, nil, at)
	open := func(to string) (each int, cost []net.Conn) {
		before := memory()
		for range tunnels {
			c, err := net.Dial("tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
			if err != nil || res.StatusCode != 101 {
				t.Fatalf("%v, %v", res, err)
			}
			cost = append(cost, c)
		}
		return (memory() - before) / tunnels, cost
	}
	// The client and the member are in this process too: what they cost is measured without the proxy.
	ends, _ := open(at)
	through, _ := open(f.Listener.Addr().String())
	t.Logf("an idle tunnel costs %d bytes", through-ends)
	if through-ends > most {
		t.Errorf("an idle tunnel costs %d bytes, and at most %d are expected", through-ends, most)
	}
}

func memory() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

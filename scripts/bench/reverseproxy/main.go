//go:build linux

// Command reverseproxy is the proxy that one would write with httputil.ReverseProxy, with what its users learn to set: buffers that are used
// again and enough idle connections. It is a peer of the bench.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte  { return *b.Pool.Get().(*[]byte) }
func (b *buffers) Put(s []byte) { b.Pool.Put(&s) }

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	to := flag.String("to", "", "address of the server")
	flag.Parse()
	target := &url.URL{Scheme: "http", Host: *to}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport: &http.Transport{
			MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}},
	}
	log.Fatal(http.ListenAndServe(*listen, proxy))
}

package worker

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// protocolsOf returns the protocols that a server may be asked for.
func protocolsOf(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, f := range set {
		f(p, true)
	}
	return p
}

// implementation answers with the protocol and the package that serves it.
func implementation(rw http.ResponseWriter, r *http.Request) {
	fmt.Fprint(rw, r.Proto, " ", reflect.TypeOf(rw).Elem().PkgPath())
}

// TestHTTP2IsNotTheBundledOne asks for HTTP/2 in each way in which a program may serve it, and in those in which it does
// not want it.
func TestHTTP2IsNotTheBundledOne(t *testing.T) {
	const http1, http2 = "HTTP/1.1 net/http", "HTTP/2.0 golang.org/x/net/http2"
	certificates := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	all := protocolsOf((*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2)
	cases := map[string]struct {
		srv    *http.Server
		listen func(net.Listener) net.Listener // nil: as it is
		ask    *http.Protocols                 // nil: HTTP/1 and HTTP/2 over TLS
		plain  bool
		debug  string
		want   string
	}{
		"over TLS":            {srv: &http.Server{TLSConfig: certificates.Clone()}, want: http2},
		"by Protocols":        {srv: &http.Server{TLSConfig: certificates.Clone(), Protocols: all}, want: http2},
		"a listener with TLS": {srv: &http.Server{}, listen: func(l net.Listener) net.Listener { return tls.NewListener(l, withH2(certificates)) }, want: http2},
		"both with TLS":       {srv: &http.Server{TLSConfig: &tls.Config{NextProtos: []string{"h2"}}}, listen: func(l net.Listener) net.Listener { return tls.NewListener(l, withH2(certificates)) }, want: http2},
		"without TLS": {
			srv: &http.Server{Protocols: protocolsOf((*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2)},
			ask: protocolsOf((*http.Protocols).SetUnencryptedHTTP2), plain: true, want: http2,
		},
		"HTTP/1 without TLS":        {srv: &http.Server{}, plain: true, want: http1},
		"HTTP/1 by Protocols":       {srv: &http.Server{TLSConfig: certificates.Clone(), Protocols: protocolsOf((*http.Protocols).SetHTTP1)}, want: http1},
		"HTTP/1 by an empty map":    {srv: &http.Server{TLSConfig: certificates.Clone(), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}, want: http1},
		"HTTP/1 by the environment": {srv: &http.Server{TLSConfig: certificates.Clone()}, debug: "http2server=0", want: http1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.debug != "" {
				t.Setenv("GODEBUG", c.debug)
			}
			if c.want == http2 && !bundled() {
				t.Skip("SKIPPED: HTTP/2 of golang.org/x/net: from Go 1.27 on it is that of net/http")
			}
			w, m := withMaster(t, nil)
			addr := m.assign()
			c.srv.Handler = http.HandlerFunc(implementation)
			lns, err := w.Listeners()
			if err != nil {
				t.Fatal(err)
			}
			if c.listen != nil {
				lns = []net.Listener{c.listen(lns[0])}
			}
			ret := make(chan error, 1)
			go func() { ret <- w.ServeServer(c.srv, lns...) }()
			expect[ipc.Ready](m)
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, Protocols: c.ask}
			scheme := "https://"
			if c.plain {
				scheme = "http://"
			}
			res, err := (&http.Client{Transport: tr, Timeout: eventually.Patience()}).Get(scheme + addr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(got) != c.want || err != nil {
				t.Errorf("served by %s (%v), want %s", got, err, c.want)
			}
			tr.CloseIdleConnections()
			m.send(ipc.Drain{Handover: true, Timeout: eventually.Patience()})
			if err := eventually.Receive(t, "Serve returns", ret); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHTTP2NeedsItsCipher: a TLSConfig that HTTP/2 cannot use is an error, as with net/http.
func TestHTTP2NeedsItsCipher(t *testing.T) {
	w, m := withMaster(t, nil)
	m.assign()
	err := w.ServeServer(&http.Server{TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{certificate(t)}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	}})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot serve: ") {
		t.Errorf("got %v", err)
	}
}

// withH2 is what a program that listens with TLS itself offers.
func withH2(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// bundled reports whether golang.org/x/net brings an HTTP/2 of its own for this version of Go.
func bundled() bool {
	var minor int
	n, _ := fmt.Sscanf(runtime.Version(), "go1.%d", &minor)
	return n == 1 && minor < 27
}

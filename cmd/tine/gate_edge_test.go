//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// pemOf is a certificate for a name, with its key.
func pemOf(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// TestGateEdge: a gateway speaks TLS with the certificate of the name that is asked for, and HTTP/2 with clients and with members; a
// certificate that is replaced counts without a restart; a limit that is changed counts when the workers are replaced, with no lost
// request.
func TestGateEdge(t *testing.T) {
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s, %d bytes, %s", r.Proto, n, r.Header.Get("X-Forwarded-Proto"))
		w.Header().Set(http.TrailerPrefix+"X-End", "yes")
	}))
	h.Config.Protocols = new(http.Protocols)
	h.Config.Protocols.SetUnencryptedHTTP2(true)
	h.Start()
	t.Cleanup(h.Close)
	config := func(body string) string {
		return fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 1
    gateway:
      members: ["%s"]
      http2: members
      tls: {certificates: [a.pem, b.pem]}
      limits: {body: %s}
    $CALM
`, h.Listener.Addr(), body)
	}
	dir := folder(t)
	write(t, dir, "a.pem", pemOf(t, "a.test"))
	write(t, dir, "b.pem", pemOf(t, "b.test"))
	write(t, dir, "tine.yaml", config("1MiB"))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"}, kept)
	m.await(is("all workers are ready"))
	to := strings.TrimPrefix(m.address(), "tcp://")
	ask := func(name string, body int) (*http.Response, string) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: name}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr, Timeout: eventually.Patience()}).Post("https://"+to, "text/plain", strings.NewReader(strings.Repeat("x", body)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	res, text := ask("b.test", 1000)
	if res.ProtoMajor != 2 || text != "HTTP/2.0, 1000 bytes, https" || res.Trailer.Get("X-End") != "yes" || res.TLS.PeerCertificates[0].DNSNames[0] != "b.test" {
		t.Errorf("%s, %q, %v, %v", res.Proto, text, res.Trailer, res.TLS.PeerCertificates[0].DNSNames)
	}
	if res, _ := ask("a.test", 2<<20); res.StatusCode != 413 {
		t.Errorf("a body of 2 MB: %s", res.Status)
	}
	before, workers := res.TLS.PeerCertificates[0].SerialNumber, m.workers("gate")
	write(t, dir, "b.pem", pemOf(t, "b.test"))
	eventually.True(t, "the new certificate is shown", func() bool {
		res, _ := ask("b.test", 0)
		return res.TLS.PeerCertificates[0].SerialNumber.Cmp(before) != 0
	})
	if now := m.workers("gate"); fmt.Sprint(now) != fmt.Sprint(workers) {
		t.Errorf("workers %v, then %v", workers, now)
	}
	write(t, dir, "tine.yaml", config("4MiB"))
	m.signal(syscall.SIGHUP)
	eventually.True(t, "the new limit counts", func() bool { res, _ := ask("a.test", 2<<20); return res.StatusCode == 200 })
	if c, err := net.Dial("tcp", to); err == nil {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if b, _ := io.ReadAll(c); !strings.Contains(string(b), "400") {
			t.Errorf("without TLS: %q", b)
		}
		c.Close()
	}
	m.stop()
	m.ended(0)
}

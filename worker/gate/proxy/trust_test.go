package proxy

import (
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestTrust: who the client is, as proxies that are trusted say it and as nobody else may.
func TestTrust(t *testing.T) {
	t.Parallel()
	trust := Trust{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		from   string
		said   []string
		client string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"1.2.3.4"}, "192.0.2.1"},
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"1.2.3.4"}, "1.2.3.4"},
		{"[::ffff:10.0.0.1]:5", []string{"6.6.6.6, 1.2.3.4, 10.9.9.9"}, "1.2.3.4"},
		{"10.0.0.1:5", []string{"6.6.6.6", " 2001:db8::1 ,fd00::2"}, "2001:db8::1"},
		{"10.0.0.1:5", []string{"1.2.3.4, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:5", []string{","}, "10.0.0.1"},
		{"@", []string{"1.2.3.4"}, "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		r.Header["X-Forwarded-For"] = c.said
		if got := trust.ClientIP(r); got != c.client {
			t.Errorf("%s, %q: %s, want %s", c.from, c.said, got, c.client)
		}
		r.Header.Set("X-Forwarded-Proto", "HTTPS")
		if got := trust.Secure(r); got != trust.Has(r) {
			t.Errorf("%s: secure is %v", c.from, got)
		}
		if r.TLS = new(tls.ConnectionState); !trust.Secure(r) {
			t.Errorf("%s: not secure", c.from)
		}
	}
	if (Trust(nil)).Has(httptest.NewRequest("GET", "/", nil)) {
		t.Error("nobody is trusted")
	}
}

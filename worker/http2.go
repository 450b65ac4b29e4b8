package worker

import (
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

// setHTTP2 has srv speak HTTP/2 by golang.org/x/net/http2 wherever net/http would by the copy of it that is bundled with
// Go: a fault in that is mended by a new module, not only by a new Go. From Go 1.27 on the module hands all of it back to
// net/http.
//
// What the program has decided holds, as net/http documents it: Protocols, a TLSNextProto of its own, and
// GODEBUG=http2server=0 keep HTTP/2 away; an "h2" in TLSNextProto is used as it is. The error is of a TLSConfig that
// HTTP/2 cannot use, the same as net/http's own.
func setHTTP2(srv *http.Server, overTLS bool) error {
	encrypted, plain := speaksHTTP2(srv)
	_, own := srv.TLSNextProto["h2"]
	switch {
	case own || !encrypted && !plain || strings.Contains(os.Getenv("GODEBUG"), "http2server=0"):
		return nil
	case overTLS || plain:
	case srv.TLSConfig == nil: // the listener may be one of crypto/tls
	case !slices.Contains(srv.TLSConfig.NextProtos, "h2"):
		return nil
	}
	//lint:ignore SA1019 Protocols alone would choose the bundled copy
	return http2.ConfigureServer(srv, nil)
}

// speaksHTTP2 says whether srv is to speak it over TLS, and without: net/http has the same rules.
func speaksHTTP2(srv *http.Server) (encrypted, plain bool) {
	if p := srv.Protocols; p != nil {
		return p.HTTP2(), p.UnencryptedHTTP2()
	}
	return srv.TLSNextProto == nil, false
}

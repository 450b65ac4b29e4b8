package control

import (
	"crypto/tls"
	"net/http"
)

// HTTP1 has a server speak HTTP/1 and nothing else, and returns it. What Tine serves itself
// needs no HTTP/2, and net/http's own has published holes in some releases of Go.
func HTTP1(s *http.Server) *http.Server {
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	return s
}

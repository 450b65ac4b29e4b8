// Package edge is the side of a gateway that clients reach: listeners and an [http.Server] that bound what one client can hold.
//
//	listening socket ──▶ Listener ──▶ conn ──▶ (crypto/tls) ──▶ net/http, HTTP/2 ──▶ handler ──▶ the gateway's own handler
//	                     how many      how slowly                head's time and size    how long and how slow a body is
//	                     connections   answers are read
//
// # Limits
//
// Each has a default, and each is of one worker of the gateway. See [Limits].
//
//	connections        above the bound, of all or of one client, a new one is closed at once
//	head               its size is bounded, and the time from the first byte to the last
//	body               one that is longer is answered with 413
//	rate of a body     a client that sends less than 240 bytes/s is answered with 408, or cut off
//	rate of an answer  a client that reads less than 240 bytes/s is cut off
//
// A body begins with 5 s for which it may be silent. Time in which the gateway waits for the client is taken from it, and each byte adds
// 1/240 s, up to 30 s in all: so a body that stalls for half a minute, at any point, ends. An answer is looked at each 5 s in which the
// client has not taken all of what was written: what has left the socket's buffer counts. Bodies of gRPC are exempt, as its streams may
// be silent for hours; so are tunnels (WebSockets and other upgrades), to which the bounds of packages proxy and tunnel apply.
//
// # TLS and HTTP/2
//
// Certificates are files. A file that has changed counts from the next handshake on, at most a second later; one that cannot be read is
// told once, and the certificates stay as they are. HTTP/2 is that of golang.org/x/net, chosen by ALPN, and without TLS by prior
// knowledge; an upgrade from HTTP/1.1 to it is not made.
package edge

// Package dashboard shows a running master in a browser: one page, live, and the part
// of the control API that the page needs, on a TCP address.
//
//	browser ── GET /, its style and its scripts ──── embedded files
//	        └─ /v1/status, events, logs, cache ───── control.Server.API, read only
//	        └─ POST reload, scale, drain, start ──── the same, with a token
//
// TCP has no owner, unlike the control socket: every client that can reach the address can
// read. That is what the page shows: the status, the events, the workers' output, and
// the names, sizes and ages of cached values, not their contents. Keep it on loopback,
// or behind a proxy that authenticates users. Orders need the token of
// [Options.TokenFile] in the header "Authorization: Bearer TOKEN"; without a token
// file there are none. There is no cookie, so a browser never adds the right to give
// orders by itself.
//
// A page of another site that is open in the same browser can do nothing here: a
// request whose Host is not a name of this server is refused, which is what DNS
// rebinding needs; so is one that the browser says another origin has made.
//
// The files below page/ are what the browser gets, as they are: there is no build step.
// While no page is open the dashboard costs nothing: there is no timer and no goroutine but
// that which accepts. A page that is not visible asks for nothing.
package dashboard

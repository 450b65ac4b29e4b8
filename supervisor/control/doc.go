// Package control lets people and programs see and steer a running master: HTTP and
// JSON on a Unix socket, and the Go client for it.
//
//	tine reload ── Client ──┐                      ┌── Commander (package supervisor)
//	curl --unix-socket ─────┼── socket ── Server ──┤
//	a scraper, a dashboard ─┘   0600      routes   └── handlers that others mount
//
// The package knows nothing of how workers are kept: a [Server] asks a [api.Commander],
// which package supervisor implements, and writes down what it says. The documents
// are the types of package api, which have aliases here, versioned by the first part of the path,
// /v1: within a version fields are added, never renamed or removed. What there is to
// ask is in one table (routes.go), and in /v1/openapi.json, which a test holds to it.
//
// Errors are application/problem+json (RFC 9457); in Go, on both sides, a [*Refusal].
// What takes long streams: events as text/event-stream, to be resumed by their ids;
// logs and the progress of an order as one JSON object a line. A reader that is too
// slow holds up no other: see [Options.WriteTimeout].
//
// Who may ask: processes of the master's own user, and root. The socket's mode says
// so, its folder's too, and the kernel's word on who is at the other end is checked
// for every connection. One process may hold 128 of the 512 connections.
//
//	curl --unix-socket /run/tine/web.sock http://tine/v1/status
//	curl --unix-socket /run/tine/web.sock -X POST http://tine/v1/apps/web/reload
package control

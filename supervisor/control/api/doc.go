// Package api is the words of the control API: its documents ([Status], [Order],
// [Progress], [Event], ...), what answers it ([Commander]) and how it refuses ([Refusal]).
//
//	orders, book, snapshot ──▶ api ◀── control (server and client)
//
// It has no server, no client and no state, so that the parts of a master that only
// decide or keep records can speak of these things without one. Package control has the
// same names as aliases. A test of package control holds the documents to
// /v1/openapi.json: within a version fields are added, never renamed or removed.
package api

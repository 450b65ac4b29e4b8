// Package decisions is what a gateway's worker tells of how it chose a server for a request: the document that travels from the
// worker to the master, by a call of [Method], and from there to whatever asks the control API.
//
//	tine why ID ──▶ control API ──▶ master ── Call Method, Query ──▶ each worker of each gateway
//	                                       ◀── Answer ─────────────
//
// A worker remembers a bounded number of requests, the newest ones (package worker/gate/history). Fields are added to these
// documents, and never renamed or removed: the worker may be older or newer than the master.
package decisions

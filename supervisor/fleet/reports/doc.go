// Package reports asks members by HTTP what their load is.
//
//	package rounds: who is due ──▶ GET of a URL made for the member ──▶ members.Question reads the answer ──▶ fleet.Reported
//	Handler ◀── GET /v1/load, by another Tine
//
// A report counts from when it was received, by the clock of this host. A member is asked again only when its answer is there or its time is
// over, so a later answer is a later report: no clock and no counter of the member decides that. In the answer of another
// Tine the epoch and the sequence tell what is not new: one with the same epoch, and no greater sequence, is dropped, as one from a cache
// between the two is.
//
// A member that does not answer, or answers something else, has no report: it is unknown once its last one is too old. Why is told as a
// warning, once for each reason. The round trip is measured too (rtt_ms), from the request to the first byte of the answer, without the time
// that the member says it has held the answer back.
package reports

// Package outcomes gathers how a gateway's requests to each member went, for the master, which ejects members that fail: see package
// supervisor/fleet.
//
//	proxy ── Tell, for each attempt ──▶ Outcomes ── at the first failure at once, then at most every 100 ms ──▶ the master
//
// While all members answer, nothing is sent, and Tell costs one atomic read. What is told of a member is whether a request was answered
// since the last time, and how many have failed since that one, in a row: so the failures that the master adds up over all workers of the
// gateway begin anew with each answer that a worker has had after a failure.
package outcomes

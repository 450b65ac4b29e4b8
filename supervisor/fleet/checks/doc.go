// Package checks looks actively whether members can be used, and speaks HAProxy's agent-check from both sides.
//
//	package rounds: who is due ──▶ a Way: TCP, HTTP or Agent ──▶ fleet.Checked or fleet.Advised
//	HAProxy ──▶ Responder ──▶ Answer: how an app of this master is
//
// The fleet counts how many checks fail or pass in a row before a member is down or up again. A check that fails because of this host
// (no descriptor or port is left, no memory: see [Ours]) says nothing of the member, and no event comes of it.
//
// # The ways
//
//	TCP    a connection can be made
//	HTTP   a GET is answered by an expected status; TLS is optional
//	Agent  a program beside the member says how it is, in HAProxy's words. It counts at once. An agent that cannot be reached says nothing,
//	       as in HAProxy: whether the member can be reached is for the other ways
//
// # The words of an agent
//
// One line, of words with blanks, tabs or commas between them; upper or lower case. # begins the reason.
//
//	75%          the share of its configured weight
//	maxconn:30   how many requests it may have at once
//	ready        ends drain and maint
//	drain        no new request
//	maint        down, for maintenance
//	up           ends down
//	down, fail, failed, stopped   with an optional reason: down #disk full
//
// What an agent does not say stays as it said it last.
package checks

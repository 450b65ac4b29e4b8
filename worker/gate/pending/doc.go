// Package pending counts clients that were sent to a member and have not arrived there, as far as is known: by a redirect, or by the answer
// to a lookup. Until then their picks are held, so that not all clients between two reports go to the same member.
//
//	Add ──▶ held at the member ──▶ released: a report shows so many more clients than the one before (Options.Stays of package gate),
//	                                         Longest is over, or the member is gone
//
// Of a member that does not report its clients, a pick is held for Longest.
package pending

// Package gate chooses a server for each request: by turn, by load, by latency, by a score of reported statistics, or by a key.
//
//	table (package ipc/members) ──▶ Picker.Update ──▶ snapshot ──▶ Picker.Pick ──▶ Pick ──▶ Pick.Done
//	                                Picker.Refresh ──▶    │                           │
//	                                                      └── members, weights,       └── one request at this member:
//	                                                          loads, scores, tables       counted from Pick to Done
//
// A [Picker] holds one immutable snapshot of the members. Pick reads it and a few atomic counters: it takes no lock and allocates
// nothing. One goroutine of the gateway gives the picker each new table (Update) and, ten times a second, has it look at the time
// (Refresh).
//
// # Rules that hold for every way of choosing
//
//   - Capacity is a hard bound. Pick reserves a place at the member with a compare-and-swap, so that a member with max_in_flight 4
//     never has a fifth request, by however many goroutines or gateway processes that share its counters.
//   - Of a worker of this host everybody's requests count, and no report: those of all gateways, and those that came to it directly. They
//     are rows of a book of tickets (package ipc/tickets), so that max_in_flight holds for all gateway processes together. A worker that has
//     requests and does not run is passed over.
//   - Weights count. A member of weight 2 gets twice what one of weight 1 gets, as far as load, latency or keys leave a choice. A
//     member of weight 0 is not picked.
//   - What was sent since a report is added to it, so that all requests between two reports do not go to the one that was best in
//     the first.
//   - A member without data is unknown, never 0: score, peak-ewma and prequal send it one request at a time until it is known.
//   - Latency decays to the median of the members with a half-life of 10 s, and one pick in a hundred, or one a second, goes
//     to the member that was not picked for the longest time: one which was slow is found out to be fast again.
//   - A member that refuses a connection is passed over for a tenth of a second, and for longer each time that it does again, as
//     long as there are others.
//   - A failed request counts as one of the 99th percentile of latency, if it was faster than that: a member that fails fast does
//     not look like a fast member.
//
// [Picker.Explain] says of each member in words why it is picked or not, and a [Seen] what one pick saw: package history keeps the last ones.
//
// # The ways
//
//	round-robin   each in turn, as often as its weight says, spread evenly; weighted-rr is the same
//	random        at random by weight
//	first         the first in the list with room: the others stay idle
//	least         the fewest requests in flight for its weight, ties at random
//	p2c           the better of two drawn at random: nearly as even as least, for a fraction of the work
//	score         the lowest sum of multiplier x statistic (Options.Score)
//	prequal       the lowest latency among those of 16 that are not hot, which is to have more requests than most (Options.Hot). The default
//	peak-ewma     the lowest latency x requests in flight of 16; latency jumps up at once and comes down slowly
//	crc32-mod     crc32(key) modulo the number of members, as Pinus and Pomelo do
//	rendezvous    the highest hash of key and member: a member that comes or goes moves its own keys alone
//	maglev        a table of 65,537 entries, filled by turns: one lookup
//
// The last three give the same member for the same key in every gateway that has the same table. Options.Bounded bounds how far
// popular keys may load a member beyond the mean.
//
// Sources: p2c, Mitzenmacher 2001; Prequal, Wydrowski et al., NSDI 2024; peak EWMA, Finagle; rendezvous, Thaler and Ravishankar
// 1998, weighted as by Mosharraf and Schmidt; Maglev, Eisenbud et al., NSDI 2016; bounded loads, Mirrokni, Thorup and
// Zadimoghaddam 2018.
package gate

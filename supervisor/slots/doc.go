// Package slots owns what an app's sockets need of the master that serves with them, beside the sockets themselves: who uses
// them, who holds the rows of their scoreboard, which slots get new connections, and what is seen at them.
//
//	            Use, Release, Sit, Vacate, Order, Apply
//	master ───────────────────────────────────────────▶ Sockets, Steering ──▶ listen.Set (kernel)
//	  ▲                                                    │
//	  └──────────── listen.Notice (Watch) ◀────────────────┤ goroutine of the watcher
//	  └──────────── Looked (Look) ◀────────────────────────┘ goroutine of one look
//
// [Sockets] is the owner. An app and the one that replaces it share one, and the last Release closes it. All methods are for the
// one goroutine that owns it, the loop of the master, unless they say otherwise.
//
//	sockets.go   Sockets: use and end; the watcher, which posts each notice by a func of the caller
//	seat.go      Seat: a worker's row of the scoreboard. A slot has two, for a worker and the one that takes over from it
//	totals.go    Totals: what the workers of each slot have done that are gone
//	steering.go  Steering: the slots that an app's core wants to get new connections, and those that do
//	lookout.go   the look at the addresses from where clients come, and at inner sockets, and what it makes again
//	pace.go      how often a socket that cannot be made anew is tried, and told of
//	stall.go     Stall: which witnesses see a worker stand still
//
// # The goroutines
//
// The watcher is one goroutine for each Sockets, from Watch to Rest, Release or Leave. It waits for the caller's func; the func
// gets a channel that is closed before the watcher is ended, as the loop that it posts to may be the one that ends it.
//
// A look is one goroutine for each Sockets at a time, as a path may be on a disk that hangs: a look that is due meanwhile is left
// out, and the looks at other apps are not held up. A look posts nothing if it has seen what the look before has seen. What it
// posts and the loop does not take is closed: see [Looked.Close].
//
// # What is not here
//
// The names under which the sockets are kept for the next master are package succession's. What follows from a notice for the
// workers, the core of the app decides (package pool).
package slots

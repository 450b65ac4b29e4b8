// Package queue holds the requests of one pool of members that cannot be placed now, until a place is free. It decides who is next, who
// waits no longer, and what each of those is told.
//
//	Pick: full, or no member is ready ──▶ Join ─▶ ┌──────┐ ─ Offer ─▶ Request.Place ──▶ Turn.Done: placed
//	a place is free (Freed) ────────────────────▶ │ core │
//	a client goes (Turn.Leave), time goes on ───▶ │ Step │ ─ Drop ──────────────────▶ Turn.Done: *Shed, in one line why
//	                                              └──────┘
//
// The core is pure: no clock, lock, goroutine or I/O. [Queue] is the shell: a lock around the core, and one timer. Whichever goroutine
// brings an event carries out what follows from it, so that the one that frees a place hands it to the next request itself: one switch of
// goroutines lies between the two, and nothing polls.
//
// # Who is next
//
// A request that is sent again comes before new ones: its client has waited already. Then the highest priority, then the first that came;
// while there is overload, the last that came, as its client is the most likely to be still there. Each free place is offered to one
// request, and the next is offered only when the one before has taken its own: a thousand that wait are not all woken by one place.
//
// # The states
//
//	calm         a request waits for Timeout at most
//	overloaded   each request that was placed for Interval had waited for longer than Target; until nobody waits. One that comes back
//	             within Interval begins after Target
//	held         no member is ready, as all start, are down or paused; until one has places, or nobody waits
//	recovering   after held; until nobody waits, or for Timeout
//
// While overloaded, a request that comes waits for Target at most, and one that was there
// before for Interval: those that are served at all are served soon, and the others are told so at once. This is the controlled delay with
// adaptive LIFO of Maurer, "Fail at Scale", ACM Queue 2015, after CoDel (Nichols and Jacobson 2012). It does not judge what has piled up
// while no place could be free: that is no overload, so held and recovering go by Timeout alone.
//
// A wait that is as long as one or two requests take is no overload either. Twice the time for which the median request has its place is
// the target if that is longer, and ten times that time the interval.
//
// # The bounds
//
// Options.Max requests, Options.MaxBytes of what they hold, and Options.Timeout. When the queue is full, the request that would be served
// last is shed, which is the one that comes unless its priority is higher or there is overload. The deadline that a client has given
// ([Deadline]) ends a wait too.
package queue

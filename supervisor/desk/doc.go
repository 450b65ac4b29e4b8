// Package desk is where callers hand in what they order for apps, and hear how it ends. It is the hand of package orders: that core
// decides how an order goes on, and what it orders is done here.
//
//	callers (Place)   Ticket     ┌────────── Desk ──────────┐   events of the cores
//	──────────────────────────▶  │ orders.Book              │ ─────────────────────▶ Loop
//	◀──────────────────────────  │ callers that wait        │   apps, pools
//	  progress, Begun, the ends  │ next runs, prepared      │
//	                             └──────────────────────────┘
//
// A [Desk] runs in the goroutine of the master's loop and waits for nothing. Two things run elsewhere: [Place] and [Begun.Wait] in
// the goroutine of the caller, and the opening of an app's next run, which may wait for a disk or a name server and comes back
// as a [Message].
//
//	desk.go      Desk: events in, effects carried out
//	callers.go   who waits for what
//	place.go     the side of a caller
//	next.go      the next run of an app
//	view.go      what the book reads of the apps
//
// # Bounds
//
//	orders under way     orders.MaxOrders
//	steps of a request   256 that its caller has not taken; a further one is left out, the end never is
//	ends of a request    there is room for all of them, so the loop never waits for a caller
package desk

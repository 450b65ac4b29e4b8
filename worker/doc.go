// Package worker is what a Go service imports to run under Tine: it takes its listening sockets and cached values from
// the master, says when it is ready, and ends without losing a request.
//
//	func main() {
//		w, err := worker.Start()
//		if err != nil {
//			log.Fatal(err)
//		}
//		users := worker.Cached[int](w, "usersCount")
//		err = w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
//			n, _ := users.Get()
//			fmt.Fprintf(rw, "%d users\n", n)
//		}))
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// Started by hand, the same program stands alone: it opens its own listener ([WithListen]), values come from its own
// [Worker.Publish], and SIGTERM or Ctrl-C ends it in the same polite way.
//
// # A worker's life
//
//	master                                worker
//	  │  hello ◄──────────────────────────── Start
//	  │  hello, snapshot, values ──────────► Start returns: Cached values are there
//	  │  assign: slot, sockets ────────────► Listener, Serve go on    (a standby waits here)
//	  │  ready ◄──────────────────────────── Serve accepts
//	  │  set, delete ──────────────────────► decode once → Cached.Get, Watch
//	  │  ack ◄────────────────────────────── everything up to this epoch is visible
//	  │  message, call ◄───────────────────► Send/OnMessage, Call/Handle, Publish
//	  │  drain ────────────────────────────► Draining closes, OnDrain runs
//	  │  bye ◄────────────────────────────── Serve returns nil, main returns
//
// # Cached values
//
// [Cached] reads a value in one atomic load, without lock or allocation: it was decoded when it came. 0, false and ""
// are values. What cannot be decoded leaves the last good value in place and shows in Err. Large values are not copied
// when read as a [Blob].
//
// # Drain
//
// A drain begins by order of the master (rollout, scaling, stop) or by SIGTERM or SIGINT, and has two phases. In the
// first, for at most the delay, requests are served as ever, but each answer carries "Connection: close" (HTTP/2:
// GOAWAY), so that clients move their kept-alive connections without ever seeing one close under a request. If another
// worker has taken over the sockets, no connection is accepted any more; otherwise they are accepted until the last open
// one has ended, at most for the delay, and then until the queue is empty. Only where the sockets are to be closed
// afterwards, in a slot that is scaled away, is it all of the delay. In the second phase idle connections are closed and
// requests may finish, for at most the timeout; then what is left is cut, counted and logged. Handlers of hijacked
// connections are waited for like any other; what outlives its handler belongs into [Worker.OnDrain]. A second signal
// cuts at once, and ends the process within a second.
//
// A worker that gets SIGTERM from somebody else than its master tells the master first, which replaces it at once;
// [Worker.Leave] does the same by hand.
//
// # Callbacks
//
// Functions given to Watch, OnMessage and Handle run away from the goroutine that reads the channel, one after the
// other in the order of arrival (answers to calls then run beside each other). A slow one delays other callbacks only.
// Of a watched value just the newest change waits; at most 1,024 messages and calls do. Messages beyond that are
// dropped and logged, calls are refused.
//
// # When the master vanishes
//
// The worker serves on with the values it has, closes [Worker.Orphaned], and logs it once. [WithOrphanGrace] can make it
// drain after a while.
package worker

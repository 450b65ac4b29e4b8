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
//	  │  standby ◄────────────────────────── Listener, Serve wait     (when no slot has come by then)
//	  │  assign: slot, sockets, board ─────► Listener, Serve go on
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
// # Gateways of the same master
//
// Where a gateway of the master passes requests on to the app, Serve also answers it on the slot's inner socket. The gateway's requests have
// tickets: a row in shared memory, which says that the request has begun before its handler runs. What the gateway has taken back by then,
// as the worker was stopped or stuck, is answered without a handler. Nothing is to be done for it.
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
// A worker that gets SIGTERM from another process than its master tells the master first, which replaces it at once;
// [Worker.Leave] does the same by hand.
//
// # The scoreboard
//
// Under a master that steers, the worker counts what it does in memory that it shares with the master and the kernel:
// connections accepted and closed, which of them are in a request, requests by class of status, their latencies, the
// start of each one in flight, bytes sent, and a heartbeat. New connections go where there is room because of that, and
// `tine status` shows it. Nothing is to be done for it, and it is readable when the worker is dead.
//
// A connection is busy from its acceptance to the end of its first answer, then idle and busy in turns, as
// http.Server.ConnState tells of servers that [Worker.ServeServer] runs; over HTTP/2, busy while a stream is open. A
// hijacked one is busy until it is closed, and so is every one of a protocol of the program's own (of gRPC, too), accepted
// from [Worker.Listener]. A request counts when its handler returns: with the status that it set, or with
// unknown status when it hijacked the connection or panicked. With more than 5,000 requests a second only each eighth is
// timed. Without a request a worker that holds connections wakes ten times a second for the heartbeat; without
// connections it sleeps.
//
// The listeners and connections are therefore not *net.TCPListener and *net.TCPConn, but have all of their methods:
// ask for an interface (syscall.Conn, io.ReaderFrom) instead of the type. Alone, and without a scoreboard, they are the
// plain ones.
//
// A master whose worker stalls asks it for the stacks of all its goroutines, and gets them from a goroutine that waits
// for none of the program's.
//
// # Standby
//
// A worker may be started without a slot, as a standby, to take the place of one that crashes. It has its cached values
// and runs up to where the program first needs its listeners: [Worker.Listeners], Listener, Serve or Ready wait
// there, and the master is told that the worker is initialised. What takes time at the start belongs before it, like opening
// a database or filling a cache. The slot may come much later, or never: then the standby drains.
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

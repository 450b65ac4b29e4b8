// Command chaos runs Tine with the demo under load, does to it at random what
// operators and accidents do, and fails if one request is lost that Tine promises
// to keep.
//
//	        seed
//	         ├──────────────▶ monkey: USR2, TTIN, TTOU, HUP to the keeper, which passes them on;
//	         │                        KILL, TERM, STOP+CONT to workers;
//	         │                        KILL, STOP and upgrades of the master; stop and start of all
//	         ▼                          │ kills, with the connections that died
//	32 clients ── every failure ──▶ judge ◀── master: its log, its processes
//	                                    │
//	                                    ▼
//	                       table, lost requests, exit status
//
// # Load
//
// A quarter of the clients each: a connection per request or kept alive, closed
// loop or 1,000 requests a second in all. They get /, /slow and /stream and post
// uploads of 1 byte to 256 KiB, some of them piece by piece, and look at each answer
// to the last byte: the status, the hash of what they sent, the end of a stream, a
// cached value not older than 10 s. Nothing is ever sent twice.
//
// # What is promised
//
// A request begins when a client decides to send it; from there on exactly one
// thing becomes of it. Every outcome but a complete and right answer is a failure:
// a refused connection, a reset, an end before or in the answer, a wrong answer, no
// answer in 20 s.
//
//  1. Rolling restarts, scaling, new and broken configs, SIGTERM to a worker and
//     stopping one for up to a second cost no request, on new connections and on
//     kept-alive ones.
//  2. kill -9 of a worker may fail the requests that were in flight in it, and no
//     others. Which those are is not the clients' word but the kernel's: the worker is
//     stopped first, its established connections are read from the kernel, then it
//     is killed. A failure is excused only if its connection is one of these, and
//     the request had begun before the last of the process was gone and had not ended
//     before the kill. A connection in the queue of the worker's slot is not
//     among them: it waits for the next worker in the slot and must be served.
//  3. A server may close a kept-alive connection between two requests, and a client
//     sees that before it sends the next one and connects anew. That is no failure. But
//     a connection that breaks under a request that was sent on it is one, also if it
//     had been idle, as long as it was idle for less than drain_delay. A connection
//     that idles longer may be closed at any moment; a request that meets just that
//     moment is counted as late and excused.
//  4. The end of a master costs no request, whatever it is doing: kill -9 in a rollout, in a broadcast, while a line of
//     the log is half written, together with a worker (which may take with it what 2 says), a hang that its watchdog
//     ends, an upgrade, an upgrade that fails. Nor does it cost a worker: in the two phases in which only masters are
//     replaced - kill -9 every second, and upgrades in a row, to bad binaries too - the same workers must be there
//     before and after, and in the random part an action of this program must explain each worker that drains.
//  5. In the end SIGTERM comes under load. Each request that had begun is
//     answered; none begins after it.
//
// Every worker prints numbered lines, now and then one in two halves, and counts how many the kernel has taken. Each of
// these lines must be in the log, also those of workers that were killed. After the crash of a master lines may come
// twice; the report counts them.
//
// Beyond requests: Tine ends with status 0 in bounded time and leaves no
// process; before that, at rest with as many workers as in the beginning, the only processes below the keeper are one
// master and its workers, and none is a zombie; keeper, master and workers have as many descriptors as in the beginning;
// memory and threads of keeper and master are within a bound; all workers serve; and the log has no line that tells of a bug.
//
// A config that cannot be read is mended before an upgrade, which would be refused. A master that follows a killed one
// goes on with the config that ran.
//
// With -long there are answers that begin before a drain and end after its delay. HTTP
// leaves a server no way to say in the middle of such an answer that it will close the
// connection after it, so a client that sends its next request before it sees the end
// of the connection loses that request. No other request here outlasts the delay.
//
// # Repeating a run
//
// The seed determines how connections are steered, what is done, in which order and after which pauses, and what
// the clients send. Which worker is hit depends on which there are at that time, and
// so on the machine; the same seed repeats the kind of run, not every interleaving.
package main

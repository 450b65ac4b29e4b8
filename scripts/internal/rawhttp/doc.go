// Package rawhttp is an HTTP/1.1 client that hides nothing: for tests and benches
// that count lost requests.
//
//	Dial ──▶ Conn ──▶ Do ──▶ Answer{Outcome, …}      one request, one outcome
//	           │
//	           └─ Closed?  asked by the caller before each request on a kept-alive
//	                       connection: a server may close between two requests
//
// The client of net/http retries by itself what failed on a reused connection
// before an answer came, so a server that drops such requests looks perfect to it.
// Here nothing is ever sent twice, and each way to fail has its own name.
//
// Every call is bounded by a deadline of the caller's. A Conn belongs to one
// goroutine at a time.
package rawhttp

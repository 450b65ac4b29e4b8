// Package handlers calls the program's own functions, OnMessage and OnCall, for the workers' messages and calls.
//
//	loop ── Message ──▶ queue (1,024 messages, 64 MiB) ──▶ one goroutine ──▶ OnMessage
//	loop ── Call ─────▶ one goroutine a call (64 a worker) ──▶ OnCall's handler ──▶ answered(Reply)
//
// Neither method waits, so a slow function holds up neither the loop nor a worker. What finds no room is dropped (a message, which is
// logged at most once a second) or refused (a call, which gets an error). A function that panics loses its message or fails its call,
// and nothing else; the log has the stack. [Handlers.Close] hands over the messages that wait, and waits for that for 2 s at most.
package handlers

// Package output reads what a process prints and delivers it line by line.
//
//	process ──pipe──► stream ──tee(2)──► Reader ──LineFunc──► the log
//	            ▲                          │                    │
//	            └──── bytes are taken out ─┴── WrittenFunc ◄────┘   when the log has them
//
// A [Reader] is one stream of one process, stdout or stderr, and one goroutine, which runs [Reader.Run].
//
// # Nothing is lost
//
// A line leaves the pipe only when it is written. On Linux the stream copies the pipe with tee(2) and delivers the lines;
// the [WrittenFunc] returns when they are written; then the stream takes them out. When this process is killed in between,
// the next one that reads the pipe gets them again. So a line may come twice, but none is lost. Elsewhere than on Linux, and
// of a pipe that cannot be copied, reading takes the bytes out.
//
// # Nothing waits for the supervisor
//
// A LineFunc that blocks fills the pipe and so holds up the process that prints, and no other. A line that is not whole yet
// stays in the pipe, so the pipe is made larger, up to 256 KiB, before its writer would have to wait. If that is not
// enough the bytes are taken out although they are not written.
//
// # Bounds
//
//	buffer of one stream                 64 KiB, 4 KiB while the stream prints little
//	beyond it, for long lines            up to MaxLine + 1, of all streams together 32 MiB; a longer line comes in pieces
//	last lines of a process              20 lines, 4 KiB, of each line at most 1 KiB
//	what is read after Stop              1 MiB
//
// # Few wake-ups
//
// The runtime's poller wakes this process for each line, which costs more than all else that a line needs. So a stream
// that prints often but little leaves the poller and is read every 10 ms: see stream.gather.
//
// # Leaving
//
// When the channel Left is closed the Reader ends and leaves in the pipe what it has not delivered. [Reader.Share] duplicates
// the read end for the next process before that.
package output

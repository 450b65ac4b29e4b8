// Package handle has one worker process as its master sees it: the process, its channel, its lifeline and its output.
//
//	           Start, Adopt
//	                │
//	                ▼         Send, SendValue, Call, Note, Process
//	the loop ──► Worker ◄───────────────────────────────────────── the loop
//	                │
//	                │ Follow: two goroutines, one reads the channel, one waits for the end
//	                ▼
//	              Post ── Frame, ChannelEnded, Stuck, Suspended, Exited ──► the loop's inbox
//
// A Worker decides nothing: it posts facts, and does what its owner calls. Its methods belong to one goroutine, the loop, but for
// Acked and Follow. None of them waits, except those of a handover, which have a time.
//
// # Facts
//
// Any number of [Frame]s is followed by one [ChannelEnded], and [Exited] is the last of all but a ChannelEnded: a stranger may
// hold the worker's end of the channel. A frame carries its connection, as the channel may be renewed while frames of the old one
// are still on their way: [Worker.Current] tells them apart.
//
// # The end
//
// A worker has ended when the system says so. SIGKILL is known earlier, by the end of the channel, so that its replacement need
// not wait until the system has taken the process apart. After any other end the frames that it sent before have 100 ms to
// arrive, and its last output 5 ms.
//
// # Bounds
//
//   - A worker may send 256 MiB/s for long, and 1 GiB at once; each frame counts for 4 KiB more, a change of a value for 16 KiB. What
//     comes faster waits in the worker's socket.
//   - Of frames with a descriptor one at a time is on its way to the loop.
//   - 1,024 calls may wait for the worker's answer. The next one fails at once.
//   - What waits to be sent is bounded by [ipc.Outbox]. A message that finds no room is dropped and counted, and the count is told at
//     most once a second; an order or an answer that finds none is an error.
//
// # Handover
//
// Files duplicates what another master needs to adopt the worker. Give does the same for a handover and ends the channel; Quit then
// leaves the process, and Reclaim has it back, should the handover fail.
package handle

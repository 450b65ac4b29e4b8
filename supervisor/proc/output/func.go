package output

// DefaultMaxLine is the usual length of the longest line that a [LineFunc] gets in one piece: a stack, or a dumped request.
const DefaultMaxLine = 256 << 10

// LineFunc gets what a process prints, one line at a time without its newline, bytes as they were written. A line longer
// than MaxLine comes in pieces, and so may one of more than 64 KiB: more says that the line goes on in the next call. It is
// called from one goroutine for each stream. It may block, which holds up the process that prints and no other. line is
// valid during the call.
type LineFunc func(line []byte, more bool)

// WrittenFunc returns when all lines that were delivered to a [LineFunc] before the call are written, or are given up. Only
// then they are taken out of the pipe: a process that reads the pipe after this one was killed gets them again, and none
// is lost. It is called by the goroutine that calls the LineFunc. hurry: much has been delivered and the process may be
// waiting for room in the pipe, or nothing more will be delivered; without it a log that gathers lines for a few
// milliseconds may go on to.
type WrittenFunc func(hurry bool)
